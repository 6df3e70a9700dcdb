"""The virtual clock: a clock that can be moved forward and stopped."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from ...domain.errors import Invalid
from ..runtime.context import utc_now

# The times of events end with 2099, and those of waits a year after the present one.
LATEST = datetime(2098, 1, 1, tzinfo=UTC)


class VirtualClock:
    """A clock that runs as `real` does, from `start` on, until it is moved or stopped.

    `now` never goes back. Given to a context as its `clock`, with `real` as its `real_clock`.
    """

    def __init__(
        self,
        start: datetime | None = None,
        real: Callable[[], datetime] = utc_now,
        *,
        is_frozen: bool = False,
    ) -> None:
        self.real = real
        self._lock = threading.Lock()
        self._ahead = timedelta(0) if start is None else start - real()
        self._stopped_at = (start or real()) if is_frozen else None

    def now(self) -> datetime:
        """Read the clock."""
        stopped_at = self._stopped_at
        return self.real() + self._ahead if stopped_at is None else stopped_at

    @property
    def is_frozen(self) -> bool:
        """Whether the clock stands still."""
        return self._stopped_at is not None

    def set(self, to: datetime) -> None:
        """Move the clock forward. Raises Invalid for a time that it has passed."""
        with self._lock:
            now = self.now()
            if to < now:
                raise Invalid(
                    f"the clock is at {_text(now)} and cannot be set back to {_text(to)}:"
                    " name a later time"
                )
            refuse_too_late(to)
            self._ahead = to - self.real()
            if self._stopped_at is not None:
                self._stopped_at = to

    def freeze(self) -> None:
        """Stop the clock where it is."""
        with self._lock:
            self._stopped_at = self.now()

    def resume(self) -> None:
        """Let the clock run on from where it stopped."""
        with self._lock:
            if self._stopped_at is not None:
                self._ahead = self._stopped_at - self.real()
                self._stopped_at = None

    @contextmanager
    def standing(self) -> Iterator[None]:
        """Stop the clock for a block of code, which may set it; it runs on afterwards if it ran."""
        was_frozen = self.is_frozen
        self.freeze()
        try:
            yield
        finally:
            if not was_frozen:
                self.resume()


def refuse_too_late(moment: datetime) -> None:
    """Raise Invalid for a time after LATEST."""
    if moment > LATEST:
        raise Invalid(
            f"the clock goes to {_text(LATEST)} at most: name an earlier time than {_text(moment)}"
        )


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
