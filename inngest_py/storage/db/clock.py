"""The database's clock, by which every process says when leases end and work is due.

Clocks of machines differ. A worker whose own is 30 s behind would write leases that have ended
already, and one that is ahead would take over the leases of all others. So each process measures
by how much its clock differs from the database's, and corrects what it reads by that.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from ... import observe

# clocks that are kept by NTP differ by less; correcting them would only make time jump
_SLACK = timedelta(milliseconds=100)
# what took longer tells too little
_LONGEST = timedelta(seconds=1)
# over it operators are told
TOLD = timedelta(seconds=1)


def wall_clock() -> datetime:
    """Read this machine's clock."""
    return datetime.now(UTC)


class Clock:
    """A machine's clock, corrected by its `skew`: what has to be added to be the database's."""

    def __init__(self, wall: Callable[[], datetime] = wall_clock) -> None:
        self.wall = wall
        self.skew = timedelta(0)

    def now(self) -> datetime:
        """Say what time it is by the database's clock."""
        return self.wall() + self.skew

    def compare(self, before: datetime, theirs: datetime, after: datetime) -> None:
        """Note the database's time, which was read between two looks at the machine's clock.

        It is known no better than to the time in between. What agrees with that changes nothing.
        """
        least, most = theirs - after, theirs - before
        if least - _SLACK <= self.skew <= most + _SLACK or most - least > _LONGEST:
            return
        self.skew = least + (most - least) / 2
        if abs(self.skew) < _SLACK:
            self.skew = timedelta(0)
        if abs(self.skew) >= TOLD:
            observe.event("clock.skewed", level=30, seconds=round(self.skew.total_seconds(), 1))
