"""Realtime: topics, tokens that grant them, and messages (protocol: realtime.md). No I/O."""
