"""The commands about events: `events` and `send`."""
