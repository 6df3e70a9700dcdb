"""Connect: apps that open a WebSocket to us and are worked from there (protocol: connect.md)."""
