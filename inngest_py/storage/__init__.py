"""Rows and SQL, one module a subject: takes a connection and values, decides no policy."""
