"""The probe behind `/health` and `/health/ready`: it writes to the database, and answers in time.

A thread of its own asks the database, one at a time, so a database that hangs blocks one thread.
The probe writes at most once a second, however often somebody asks.
"""

import threading
import time
from dataclasses import dataclass
from datetime import timedelta

from ... import observe
from ...storage.db import deadlines
from ...storage.db.outages import Fault, fault, logged, public_message
from ...storage.db.probing import probe
from ...storage.queries import queue_stats, worker_list
from .context import Context

ANSWER_SECONDS = 1.8
_WRITE_SECONDS = 1.0
# a real write that failed so recently counts more than a write of the probe that succeeded
_RECENT_SECONDS = 10.0
_NAME = "health"  # among the services of upkeep, whose faults are told together


@dataclass(frozen=True, slots=True)
class Found:
    """What the database answered; with `fault` it takes no events: `public_message` says why.

    `broken` says that the probe itself raised: nobody knows how the database is.
    """

    fault: Fault | None = None
    public_message: str = "OK"
    broken: bool = False
    due: int = 0
    oldest: timedelta | None = None
    leased: int = 0
    workers: int = 0
    faults: tuple[str, ...] = ()  # the services of upkeep that fail in some worker


_SILENT = Found(Fault.AWAY, "the database does not answer")


class Probe:
    """Asks the database of a context."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._lock = threading.Lock()
        self._answered: threading.Event | None = None  # set when the thread that asks now is done
        self._found, self._wrote_at = _SILENT, float("-inf")

    def ask(self) -> Found:
        """Return the state of the database, within two seconds."""
        with self._lock:
            if self._answered is None:
                self._answered = threading.Event()
                threading.Thread(target=self._ask, name="health", daemon=True).start()
            answered = self._answered
        return self._found if answered.wait(ANSWER_SECONDS) else _SILENT

    def _ask(self) -> None:
        found = _SILENT
        try:
            with deadlines.within(ANSWER_SECONDS):
                found = self._look()
        except Exception as error:
            away = fault(error)
            found = Found(away, public_message(error)) if away else self._broken(error)
        finally:
            with self._lock:
                self._found, answered, self._answered = found, self._answered, None
            if answered is not None:
                answered.set()

    def _broken(self, error: Exception) -> Found:
        """Tell of what nobody foresaw as upkeep does, until a probe succeeds."""
        name = self._ctx.faults[_NAME] = type(error).__name__
        observe.event("upkeep.failed", level=40, service=_NAME, again_in=0.0, **logged(error))
        why = f"the probe of the database failed: {name}; the log has the traceback"
        return Found(public_message=why, broken=True, faults=tuple(sorted(self._ctx.faults)))

    def _look(self) -> Found:
        ctx = self._ctx
        if time.monotonic() - self._wrote_at >= _WRITE_SECONDS:
            probe(ctx.db)
            self._wrote_at = time.monotonic()
        error = ctx.db.outage.latest(_RECENT_SECONDS)
        if error is not None:
            return Found(fault(error), public_message(error))
        now = ctx.now()
        with ctx.db.reading() as tx:
            due, oldest, leased = queue_stats.backlog(tx, now)
            alive = worker_list.alive(tx, now)
        if ctx.faults.pop(_NAME, None) is not None:
            observe.event("upkeep.back", service=_NAME)
        age = None if oldest is None else max(timedelta(0), now - oldest)
        named = (name for row in alive if row["faults"] for name in row["faults"].split(","))
        faults = tuple(sorted({*ctx.faults, *named}))
        return Found(None, "OK", False, due, age, leased, len(alive), faults)
