"""The package's errors, in one hierarchy. A class's docstring is its default message."""


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


class TooDeep(Invalid):
    """The JSON is nested deeper than the limit."""


class TooLarge(InngestPyError):
    """This is more than the limits allow."""


class RateLimited(InngestPyError):
    """This is asked for too often."""

    code = "rate_limited"


class Conflict(InngestPyError):
    """This conflicts with what is there already."""

    def __init__(self, message: str | None = None, *, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class Unreadable(InngestPyError):
    """A row cannot be read: a newer version may have written it, and must do its work."""


class LeaseLost(InngestPyError):
    """The item's lease is lost: another worker may have leased it."""


class RunGone(InngestPyError):
    """The run has ended or does not exist: its late answer is ignored."""


class NotAllowed(InngestPyError):
    """The caller may not do this."""


class NotFound(InngestPyError):
    """There is no such thing."""


class Superseded(InngestPyError):
    """Another request does this work now: stop."""


class WaitAnswered(InngestPyError):
    """The wait was ended by something else before its time-out."""


class SignalTaken(InngestPyError):
    """Signal conflict; signal wait already exists for another run"""


class Stalled(InngestPyError):
    """The app's answers do not bring the run any further."""
