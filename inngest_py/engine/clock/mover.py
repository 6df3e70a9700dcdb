"""The mover: moves the virtual clock of a dev server, whose items run in other threads."""

import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from ... import observe
from ...domain.errors import Conflict, Invalid
from ...domain.runs.items import CONNECT, HINT_GRACE, SDK
from ...storage.db.outages import logged
from ...storage.queue import backlog
from ...storage.queue.backlog import Unsettled
from ..runtime.context import Context
from . import kept, moves
from .virtual import VirtualClock

_SHORTEST_LOOK, _LONGEST_LOOK = 0.001, 0.02
# Hints get lost only with a worker that ends, so this is rarely needed.
_HINT_AGAIN_SECONDS = 1.0
# What nobody takes within this time waits for something else than time, such as a connected worker.
_TAKEN_WITHIN_SECONDS = 3.0
# A lease of an SDK's own request, or of a connected worker, whose process may have ended. It lapses
# only when the clock moves on.
_OUTSIDE = (SDK, CONNECT)
_OUTSIDE_SECONDS = 30.0
_MOST_HINTS = 500


@dataclass(frozen=True, slots=True)
class ClockState:
    """What a clock shows. `moving_to` and `waits_for` are None while it is not being moved.

    `moments` is at how many moments something was due in the last move; `error` is what ended it
    early, if anything did.
    """

    now: datetime
    real: datetime
    is_frozen: bool
    next_at: datetime | None
    moving_to: datetime | None
    waits_for: str | None
    moments: int
    error: str | None


class _StoppedError(Exception):
    """The move is to end where it is."""


class Mover:
    """Moves the clock of a context. One move at a time; commands may come from many threads."""

    def __init__(self, ctx: Context, clock: VirtualClock) -> None:
        self._ctx, self.clock = ctx, clock
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._over.set()
        self._target: datetime | None = None
        self._stops = False
        self._waits_for: str | None = None
        self._moments = 0
        self._error: str | None = None
        self._stood = clock.is_frozen  # before the move

    def state(self) -> ClockState:
        """Say where the clock is, and what it waits for."""
        moving = not self._over.is_set()
        return ClockState(
            now=self.clock.now(),
            real=self.clock.real(),
            is_frozen=self.clock.is_frozen and not moving,
            next_at=moves.next_moment(self._ctx),
            moving_to=self._target if moving else None,
            waits_for=self._waits_for if moving else None,
            moments=self._moments,
            error=self._error,
        )

    def move(self, target: datetime, *, confirmed: bool = False) -> None:
        """Begin to move the clock.

        Raises Invalid, and Conflict while another move goes on or another server uses the database.
        """
        self._begin(self.clock.now(), target, confirmed=confirmed)

    def _begin(self, now: datetime, target: datetime, *, confirmed: bool) -> None:
        """Begin to move a clock that was at `now` when the target was chosen."""
        # one with the real time may have come since the start, while this clock showed that, too
        kept.refuse_company(self._ctx.db)
        with self._lock:
            if not self._over.is_set():
                raise Conflict(
                    f"the clock is moving to {self._target:%Y-%m-%dT%H:%M:%SZ}: wait, or freeze it"
                )
            moves.check_target(now, target, confirmed=confirmed)
            self._target, self._stops, self._moments, self._error = target, False, 0, None
            self._over.clear()
        threading.Thread(target=self._move, args=(target,), name="clock", daemon=True).start()

    def advance(self, by: timedelta, *, confirmed: bool = False) -> None:
        """Begin to move the clock by a time. Raises Invalid or Conflict."""
        now = self.clock.now()
        try:
            target = now + by
        except OverflowError:
            raise Invalid("that is further ahead than times reach: name a shorter time") from None
        self._begin(now, target, confirmed=confirmed)

    def to_next(self, *, confirmed: bool = False) -> None:
        """Begin to move the clock to what is due next. Raises Invalid if nothing is, or Conflict.

        What is due at that moment is done, and what follows from it at that moment.
        """
        now, target = self.clock.now(), moves.next_moment(self._ctx)
        if target is None:
            raise Invalid(
                "nothing is due later: no run sleeps, waits or retries, and no cron ticks"
            )
        self._begin(now, max(now, target), confirmed=confirmed)

    def freeze(self) -> None:
        """Stop the clock; a move ends at the moment that it has reached. Raises Conflict."""
        if self._over.is_set():
            kept.refuse_company(self._ctx.db)
        with self._lock:
            self._stops = True
        self._over.wait()
        self.clock.freeze()
        kept.save(self._ctx.db, self.clock, stands=True)

    def resume(self) -> None:
        """Let the clock run on. Raises Conflict while it is being moved."""
        with self._lock:
            if not self._over.is_set():
                raise Conflict("the clock is moving: wait, or freeze it")
            self.clock.resume()
        kept.save(self._ctx.db, self.clock, stands=False)

    def wait(self, seconds: float) -> bool:
        """Wait until no move goes on; say whether that is so."""
        return self._over.wait(seconds)

    def _move(self, target: datetime) -> None:
        self._stood = self.clock.is_frozen
        self.clock.freeze()
        try:
            target = max(target, self.clock.now())  # which it may have passed meanwhile
            moves.move(self._ctx, self.clock, target, self._settle, self._arrived)
        except _StoppedError:
            pass
        except Exception as error:
            self._error = f"the move ended early: {error}"
            observe.event("clock.failed", level=40, **logged(error))
        if not (self._stood or self._stops):
            self.clock.resume()
        try:
            self._end()
        except Exception as error:
            observe.event("clock.failed", level=40, **logged(error))
        finally:
            self._over.set()

    def _end(self) -> None:
        kept.save(self._ctx.db, self.clock, stands=self.clock.is_frozen)
        for tell in self._ctx.moved:
            tell(self._ctx)
        self._ctx.db.written.set()  # the service of due items waits by the old time
        observe.event("clock.moved", now=self.clock.now().isoformat(), moments=self._moments)

    def _arrived(self) -> None:
        self._moments += 1
        kept.save(self._ctx.db, self.clock, stands=self._stood)

    def _settle(self) -> None:
        """Wait until nothing runs, and nothing is due that a worker takes."""
        began = changed = time.monotonic()
        hinted, pause, known = 0.0, _SHORTEST_LOOK, frozenset[str]()
        while left := self._look(time.monotonic() - began):
            now = time.monotonic()
            if left.due != known or left.leased:
                known, changed = left.due, now
            if now - changed > _TAKEN_WITHIN_SECONDS:
                return
            if left.due and now - hinted > _HINT_AGAIN_SECONDS:
                self._hint(again=hinted > 0)
                hinted = now
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_LOOK)

    def _look(self, waited: float) -> Unsettled:
        if self._stops:
            raise _StoppedError
        with self._ctx.db.reading() as tx:
            left = backlog.unsettled(tx, self._ctx.now())
        if waited > _OUTSIDE_SECONDS:
            mine = [item for item in left.leased if item.worker not in _OUTSIDE]
            left = Unsettled(mine, left.due)
        self._waits_for = _described(left)
        return left

    def _hint(self, *, again: bool) -> None:
        """Send hints for due items; `again` also for those whose hints were sent just now."""
        now = self._ctx.now()
        sent_before = now + 2 * HINT_GRACE if again else now
        with self._ctx.db.transaction() as tx:
            found = backlog.due(tx, sent_before, _MOST_HINTS, now + HINT_GRACE)
        self._ctx.hints.send([(kind, item_id) for item_id, kind in found])


def _described(left: Unsettled) -> str | None:
    if left.leased:
        first, more = left.leased[0], len(left.leased) - 1
        return f"the {first.kind} of run {first.run_id}" + (f" and {more} more" if more else "")
    return f"{len(left.due)} items that are due" if left.due else None
