"""Which runs somebody follows, in whatever process: only their messages are made at all."""

import mmap
import os
import threading
import time
from collections.abc import Callable, Iterable

EVERY = "*"
# what a process may follow before it counts as one that follows every run
_MOST = 1000
EVERY_SECONDS = 5.0  # how often a process tells which runs it follows
_KEPT_SECONDS = 3 * EVERY_SECONDS


class Followed:
    """The followed runs, as processes tell them.

    A child of a fork knows only whether anything is followed: it makes messages for every run then.
    `changed` is called when the first run is followed (True), and when none is any more (False).
    """

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._any = mmap.mmap(-1, 1)  # shared with children
        self._lock = threading.Lock()
        self._of: dict[str, tuple[frozenset[str], float]] = {}
        self._runs: frozenset[str] = frozenset()
        self._timer: threading.Timer | None = None
        self.changed: Callable[[bool], None] = lambda any_run: None

    @property
    def is_inherited(self) -> bool:
        """Whether this process is a child, in which nobody calls `changed`."""
        return self._pid != os.getpid()

    @property
    def any_run(self) -> bool:
        """Whether any run is followed."""
        return bool(self._any[0])

    def includes(self, run_id: str) -> bool:
        """Say whether somebody follows a run."""
        if not self._any[0]:
            return False
        return run_id in self._runs or EVERY in self._runs or self.is_inherited

    def note(self, process: str, runs: Iterable[str], *, lasting: bool = False) -> None:
        """Note which runs a process follows; it must say so again, unless it is `lasting`."""
        until = float("inf") if lasting else time.monotonic() + _KEPT_SECONDS
        with self._lock:
            self._of[process] = frozenset(runs), until
            self._sum_up()

    def _sum_up(self) -> None:
        now = time.monotonic()
        self._of = {name: kept for name, kept in self._of.items() if kept[0] and kept[1] > now}
        self._runs = frozenset().union(*(runs for runs, _ in self._of.values()))
        if bool(self._any[0]) != bool(self._runs):
            self._any[0] = bool(self._runs)
            self.changed(bool(self._runs))
        passing = any(until != float("inf") for _, until in self._of.values())
        if passing and self._timer is None:
            self._timer = threading.Timer(_KEPT_SECONDS, self._look)
            self._timer.daemon = True
            self._timer.start()

    def _look(self) -> None:
        with self._lock:
            self._timer = None
            self._sum_up()


def bounded(runs: Iterable[str]) -> list[str]:
    """List runs to be told to others; too many are every run."""
    found = sorted(runs)
    return found if len(found) <= _MOST else [EVERY]
