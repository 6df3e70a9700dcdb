"""The HTTP API, on Flask. A route parses, makes one call of the engine, and serialises."""
