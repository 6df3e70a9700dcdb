"""Wake-ups: the moments at which services of a process run together. Rests: those of long work."""

import time
from collections.abc import Callable
from datetime import timedelta

from ..runtime.context import Context

_LEAST_REST = timedelta(milliseconds=5)


def until_wakeup(now: timedelta, every: timedelta, phase: timedelta) -> timedelta:
    """Say how long it is until the next wake-up of an interval; skip one that is very near.

    The cost of an idle process is how often it wakes a core and fills its caches, not what it does
    then. So services that are due in the same second wake up together.
    """
    wait = every - (now - phase) % every
    return wait if wait > every / 10 else wait + every


class Resting:
    """A service that does long work slice by slice, and leaves the database free in between.

    `work` does a slice and says whether there may be more. Then the service rests `times` as long
    as the slice took.
    """

    def __init__(self, work: Callable[[Context], bool], times: int = 4) -> None:
        self._work, self._times = work, times
        self.rest: timedelta | None = None  # until the next slice; None when all is done

    def run_once(self, ctx: Context) -> bool:
        """Do a slice; see delay() for when the next one is due."""
        began = time.monotonic()
        more = self._work(ctx)
        took = timedelta(seconds=time.monotonic() - began)
        self.rest = max(took * self._times, _LEAST_REST) if more else None
        return False

    def delay(self, _ctx: Context, longest: timedelta) -> timedelta:
        """Say how long to wait: short while work is left."""
        return longest if self.rest is None else self.rest
