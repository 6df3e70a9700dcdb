"""What keeps pages up to date: server-sent events, and the last hour by minute."""
