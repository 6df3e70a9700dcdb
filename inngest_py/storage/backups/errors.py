"""The error of a backup that failed for a reason outside of this program."""

from ...domain.errors import InngestPyError


class Failed(InngestPyError):
    """A file cannot be written or read, or a program of PostgreSQL has failed."""
