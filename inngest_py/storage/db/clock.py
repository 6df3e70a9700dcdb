"""The database's clock. Every process uses it to say when leases end and when work is due.

The clocks of machines differ. A worker whose clock is 30 s behind would write leases that have
already ended, and a worker whose clock is ahead would take over the leases of all others. So each
process measures how much its clock differs from the database's, and corrects its own by that.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from ... import observe

# Clocks that NTP keeps differ by less. Correcting them would only make time jump.
_SLACK = timedelta(milliseconds=100)
# A measurement that takes longer is too inexact to use.
_LONGEST = timedelta(seconds=1)
# A larger skew is logged, and reported by the command `check`.
REPORTED = timedelta(seconds=1)


def wall_clock() -> datetime:
    """Read this machine's clock."""
    return datetime.now(UTC)


class Clock:
    """This machine's clock plus `skew`, the difference from it to the database's clock."""

    def __init__(self, wall: Callable[[], datetime] = wall_clock) -> None:
        self.wall = wall
        self.skew = timedelta(0)

    def now(self) -> datetime:
        """Return the time by the database's clock."""
        return self.wall() + self.skew

    def compare(self, before: datetime, theirs: datetime, after: datetime) -> None:
        """Correct the skew by the database's time `theirs`.

        `before` and `after` are this machine's times before and after `theirs` was read. A skew
        that is possible within these two stays as it is.
        """
        least, most = theirs - after, theirs - before
        if least - _SLACK <= self.skew <= most + _SLACK or most - least > _LONGEST:
            return
        self.skew = least + (most - least) / 2
        if abs(self.skew) < _SLACK:
            self.skew = timedelta(0)
        if abs(self.skew) >= REPORTED:
            observe.event("clock.skewed", level=30, seconds=round(self.skew.total_seconds(), 1))
