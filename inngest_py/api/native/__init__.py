"""The server's own REST API: `/api/v1` with its OpenAPI document, and `/v1/functions`."""
