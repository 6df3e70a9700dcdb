"""Runs the items of connected apps in an API process, which holds the connections of their workers.

It takes what the lines of these apps have, and what follows from its own calls.
"""

import heapq
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from celery import Celery
from sqlalchemy.exc import SQLAlchemyError

from .. import observe
from ..domain.runs.items import ItemKind
from ..engine.connect import answers
from ..engine.runtime.context import Context, Hint
from ..engine.upkeep.app_lines import EVERY, AppLines
from ..engine.upkeep.loop import Service, Upkeep
from ..storage.db.outages import logged
from .items import Runner
from .kombu.app_lines import LINES, note_lines
from .kombu.fanout import FanoutReader
from .kombu.realtime_wire import FOLLOWED, note_followed

_LOOK_SECONDS = 0.1
_MOST_LATER = 100_000  # items that are remembered; upkeep finds the others
# What calls get to end while a gateway drains; their workers keep those that take longer. Not more:
# a worker without another gateway tries in vain meanwhile.
DRAIN_SECONDS = 5.0


class ConnectedItems:
    """What an API process does for connected apps, from its start to its stop."""

    def __init__(self, celery: Celery, ctx: Context, *, has_broker: bool) -> None:
        self._ctx = ctx
        self._runner: Runner = celery.runner
        lines = AppLines(connected_only=True)
        self._upkeep = Upkeep(ctx, [Service("app_lines", lines.run_once, EVERY, lines.delay)])
        takes = {LINES: note_lines(self._note), FOLLOWED: note_followed(ctx.hub.followed)}
        self._reader = FanoutReader(celery, takes, "connected apps") if has_broker else None
        self._later = Later(ctx, self._begin)

    def start(self) -> None:
        """Begin to run items."""
        self._ctx.connections.begin = self._begin
        self._ctx.connections.begin_later = self._later.add
        self._later.start()
        self._upkeep.start()
        if self._reader is not None:
            self._reader.start()

    def stop(self, deadline: float) -> None:
        """Begin no more, and wait for calls until a time of the monotonic clock."""
        if self._reader is not None:
            self._reader.stop()
        self._upkeep.stop()
        self._later.stop()
        self._ctx.connections.begin = None
        leave_at = min(deadline, time.monotonic() + DRAIN_SECONDS)
        while len(self._ctx.leases) and time.monotonic() < deadline:
            leave_calls(self._ctx, leave_at)
            time.sleep(_LOOK_SECONDS)

    def _note(self, app_id: str) -> None:
        if self._ctx.connections.capacity(app_id):
            self._ctx.fairness.look_again(app_id)

    def _begin(self, hints: Sequence[Hint]) -> None:
        if hints:
            threading.Thread(target=self._run, args=(hints,), daemon=True).start()

    def _run(self, hints: Sequence[Hint]) -> None:
        try:
            self._runner.run(ItemKind.EDGE, [item_id for _, item_id in hints])
        except Exception as error:  # not claimed: upkeep hints at them
            observe.event("item.failed", level=40, **logged(error))


class Later:
    """Begins items in this process when they are due.

    One that is forgotten, as when the process stops, is found by upkeep two seconds late.
    """

    def __init__(self, ctx: Context, begin: Callable[[Sequence[Hint]], None]) -> None:
        self._ctx, self._begin = ctx, begin
        self._items: list[tuple[datetime, Hint]] = []  # a heap
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._is_over = False
        self._thread = threading.Thread(target=self._run, name="connected-later", daemon=True)

    def start(self) -> None:
        """Begin to look at the clock."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and begin nothing more."""
        self._is_over = True
        self._changed.set()

    def add(self, items: Sequence[tuple[datetime, Hint]]) -> None:
        """Remember items with the times at which they are due."""
        with self._lock:
            for one in items:
                if len(self._items) < _MOST_LATER:
                    heapq.heappush(self._items, one)
        self._changed.set()

    def _run(self) -> None:
        while not self._is_over:
            due, wait = self._due()
            if due:
                self._begin(due)
            self._changed.wait(wait)
            self._changed.clear()

    def _due(self) -> tuple[list[Hint], float | None]:
        """Take what is due, and say how many seconds the next item has; None without one."""
        now, due = self._ctx.now(), []
        with self._lock:
            while self._items and self._items[0][0] <= now:
                due.append(heapq.heappop(self._items)[1])
            first = self._items[0][0] if self._items else None
        return due, None if first is None else (first - now).total_seconds()


def leave_calls(ctx: Context, deadline: float) -> None:
    """Leave calls to workers that have gone to another gateway: the answers come there.

    From a time of the monotonic clock on, leave all calls.
    """
    everything = time.monotonic() > deadline
    try:
        left = answers.hand_over(ctx, everything=everything)
    except SQLAlchemyError as error:
        observe.event("connect.not_handed_over", level=30, **logged(error))
        return
    if left:
        observe.event("connect.handed_over", items=left)
