"""Measures the server: `python -m bench`, or `make bench`."""
