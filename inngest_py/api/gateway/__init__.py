"""The gateway: the WebSockets of connected workers (protocol: connect.md)."""
