"""The server's own REST, `/api/v1` and `/v1/functions`, with its OpenAPI document."""
