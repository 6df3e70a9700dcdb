"""Alerts: look at what is wrong, and tell the receivers until they have accepted it."""
