"""What goes wrong when an expression runs (protocol: expressions.md §5)."""

from ..errors import InngestPyError


class CelError(InngestPyError):
    """The expression cannot be evaluated."""
