"""The version of this package, read by setup.cfg and shown by the API."""

__version__ = "0.1.0"
