"""API tokens on the command line."""
