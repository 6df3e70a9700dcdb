"""The command `errors`."""
