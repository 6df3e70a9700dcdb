"""The commands that begin, follow and change operations."""
