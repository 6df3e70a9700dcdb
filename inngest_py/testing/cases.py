"""The same for unittest."""

from typing import TYPE_CHECKING

from .errors import InngestTestError
from .harness import DEFAULT_PATH, Inngest

if TYPE_CHECKING:
    from unittest import TestCase
else:
    TestCase = object


class InngestTestCase(TestCase):
    """A mixin for a unittest.TestCase: `self.inngest` is a server for each test.

    The app under test is `inngest_app`, or what make_inngest_app() returns.
    """

    inngest_app: object = None
    inngest_path: str = DEFAULT_PATH
    inngest: Inngest

    def __init_subclass__(cls) -> None:
        """Refuse a class whose setUp() is not this one's. Raises InngestTestError."""
        super().__init_subclass__()
        bases = [base.__name__ for base in cls.__mro__]
        if "TestCase" in bases and bases.index("TestCase") < bases.index("InngestTestCase"):
            raise InngestTestError(
                f"{cls.__name__}: name InngestTestCase before unittest.TestCase among its bases"
            )

    def make_inngest_app(self) -> object:
        """Return the app under test."""
        return self.inngest_app

    def setUp(self) -> None:
        """Start the server."""
        super().setUp()
        self.inngest = Inngest(self.make_inngest_app(), path=self.inngest_path).__enter__()
        self.addCleanup(self._stop)

    def _stop(self) -> None:
        self.inngest.close()
        self.inngest.check()
