"""What keeps a page up to date: server-sent events, and the last hour by minute."""
