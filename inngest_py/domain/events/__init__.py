"""Events: what users send, what the server publishes, and filters over both."""
