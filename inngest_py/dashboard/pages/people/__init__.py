"""Pages of who may use the server: users with their roles and passwords, and API tokens."""
