"""Serving the API: what a process of it is made of, its HTTP server, and many such processes."""
