"""How requests reach the SDK."""
