"""Realtime: publishing, and subscriptions by WebSocket and server-sent events (realtime.md)."""
