"""What goes wrong in a test: each message says what to do."""


class InngestTestError(AssertionError):
    """The base of all errors of `inngest_py.testing`."""


class AppError(InngestTestError):
    """The app under test cannot be served."""


class NotServed(InngestTestError):
    """No app of the test serves the function."""


class StillWaits(InngestTestError):
    """The run has not ended, and only time or an event can end its wait."""


class NotCompleted(InngestTestError):
    """The run has no result."""


class NeverMet(InngestTestError):
    """Something that the test prepared has not happened by its end."""
