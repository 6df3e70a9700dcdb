"""Retention: how long ended runs are kept. Runs that have not ended are always kept."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from ..errors import Invalid
from ..limits import EVENT_ID_WINDOW
from ..values import durations

_LEAST = timedelta(seconds=1)
_MOST = timedelta(days=36_500)
_FOR_EVER = frozenset({"", "0", "forever"})
# A run's row is kept this long after its end, however few runs are to be kept. Clients that wait
# for a result read the row twice a second.
SETTLED = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Keep:
    """Which ended runs are kept: those younger than `age`, the newest `count`; None is no bound."""

    age: timedelta | None = None
    count: int | None = None

    @property
    def all(self) -> bool:
        """Whether nothing is ever deleted."""
        return self.age is None and self.count is None

    def before(self, now: datetime, oldest: datetime | None) -> datetime | None:
        """Return the time before which runs must have ended to be pruned; None to keep all.

        `oldest` is when the oldest of the newest `count` runs ended; None when there are fewer.
        """
        bounds = []
        if self.age is not None:
            bounds.append(now - self.age)
        if self.count is not None and oldest is not None:
            bounds.append(min(oldest, now - SETTLED))
        return max(bounds, default=None)


def events_before(runs_before: datetime, now: datetime) -> datetime:
    """Return the time before which events must have come to be pruned, if no run refers to them.

    For 24 hours, an event's row makes it harmless to send the event again (events.md §5).
    """
    return min(runs_before, now - EVENT_ID_WINDOW)


def parse(age: str, count: int | None) -> Keep:
    """Read the settings. Raises Invalid, whose message names the option to fix."""
    if count is not None and count < 1:
        raise Invalid("the number of runs to keep must be 1 or more (--keep-count)")
    return Keep(span(age, "runs are", "--keep-runs"), count)


def span(text: str, what: str, fix: str) -> timedelta | None:
    """Read how long something is kept; None is for ever. Raises Invalid, with `fix` in it."""
    text = text.strip().lower()
    if text in _FOR_EVER:
        return None
    try:
        found = durations.to_timedelta(text)
    except Invalid as error:
        raise Invalid(f"{error.message} ({fix})") from None
    if not _LEAST <= found <= _MOST:
        raise Invalid(f"{what} kept for 1s to 36500d, or forever ({fix})")
    return found
