"""The error of an expression's evaluation (protocol: expressions.md §5)."""

from ..errors import InngestPyError


class CelError(InngestPyError):
    """The expression cannot be evaluated."""
