"""The dashboard: pages for operators, rendered on the server."""
