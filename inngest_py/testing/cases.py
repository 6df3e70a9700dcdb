"""The same for unittest."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
        self._has_passed, self._subtest_failed = False, False
        self.inngest = Inngest(self.make_inngest_app(), path=self.inngest_path).__enter__()
        self.addCleanup(self._stop)

    def _callTestMethod(self, method: Callable[[], object]) -> None:  # noqa: N802 - unittest's
        """Run the test, and note that it has passed. A cleanup is not told that."""
        super()._callTestMethod(method)  # type: ignore[misc]
        self._has_passed = True

    @contextmanager
    def subTest(self, msg: object = None, **params: object) -> Iterator[None]:  # noqa: N802
        """Run a part of the test, whose errors do not leave it."""
        with super().subTest(msg, **params):
            try:
                yield
            except BaseException:
                self._subtest_failed = True
                raise

    def _stop(self) -> None:
        self.inngest.close()
        if self._has_passed and not self._subtest_failed:
            self.inngest.check()  # one that has failed need not be told what it has not met
