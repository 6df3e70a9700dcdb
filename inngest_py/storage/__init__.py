"""Rows and SQL: one module a subject. Takes a connection and values; never commits or decides policy."""
