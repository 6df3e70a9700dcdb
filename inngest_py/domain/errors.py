"""The package's errors: one hierarchy, where a class's docstring is its default message."""


class InngestPyError(Exception):
    """Something went wrong in inngest_py."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())

    @property
    def message(self) -> str:
        """The text for people."""
        return str(self.args[0])


class Invalid(InngestPyError):
    """The input is not valid."""

    def __init__(self, message: str, *, field: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.field = field
        self.code = code


class LeaseLost(InngestPyError):
    """The item's lease has moved on: somebody else owns it now."""


class RunGone(InngestPyError):
    """The run has ended or does not exist: its late answer is ignored."""


class NotFound(InngestPyError):
    """There is no such thing."""
