"""The workers that are connected to this process, and the calls that wait for their answers.

A call waits in the greenlet that runs its item, as an HTTP call does. Its answer may come over any
connection: a worker that has lost one goes on with what it has, and opens another.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ...domain.connect.calls import LEASE, Request
from ...domain.limits import REQUEST_TIMEOUT
from ...domain.reply.read import Reply
from ...domain.runs.items import Item, ItemKind

# For what a worker has in flight when its socket closes: it is lost if the worker does not report
# over another connection. SDKs connect again after one to six seconds.
GONE_AFTER = timedelta(seconds=9)
Hint = tuple[ItemKind, str]
_TIMER_SLACK = 0.05  # a timer may be early by a moment, and would find nothing overdue
_STOPPED = "the worker stopped responding"


class NoWorker(Exception):
    """No worker of the app is connected here with room for a call."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The call will get no answer here: its worker is gone, or has never begun.

    If it `is_left`, the worker lives, and its answer will come to another process.
    """

    is_left: bool = False


@dataclass(eq=False, slots=True)
class Connected:
    """One worker's connection, as the engine uses it.

    `groups` are the worker's apps, by id, each with the worker group. `send` raises OSError if the
    socket is closed. `hold` says whether it gets no more work, by an operator's wish, and sets
    `is_held`. `heard` tells when its last heartbeat came. `instance` is what the worker calls
    itself.
    """

    id: str
    groups: dict[str, str]
    capacity: int
    send: Callable[[Request], None]
    acknowledge: Callable[[str], None]
    hold: Callable[[bool], None]
    heard: Callable[[], datetime]
    is_held: bool = False
    is_ready: bool = False
    calls: set[str] = field(default_factory=set)
    instance: str = ""

    @property
    def room(self) -> int:
        """How many more calls it may get."""
        return max(0, self.capacity - len(self.calls)) if self.is_ready else 0


class _Waiting:
    """A call that waits; `until` is when it is lost, None while its worker is connected.

    It waits without a time-out: a timer for each call took a tenth of what the call costs. It waits
    for one lock, which is taken until the outcome is there: an Event makes three, with a condition.
    """

    __slots__ = ("_ended", "began", "connection", "outcome", "until")

    def __init__(self, connection: Connected) -> None:
        self.connection: Connected | None = connection
        self._ended = threading.Lock()
        self._ended.acquire()
        self.outcome: Reply | Lost | None = None
        self.began = time.monotonic()
        self.until: float | None = None

    def end(self, outcome: Reply | Lost) -> None:
        self.outcome = self.outcome or outcome
        with suppress(RuntimeError):  # it has ended before
            self._ended.release()

    def wait(self) -> Reply | Lost:
        while self.outcome is None:
            self._ended.acquire()
        return self.outcome


class Connections:
    """The connections of one process. `opened` is called with an app that can be called again.

    `begin`, in a process that holds connections and has no worker beside it, runs items there, and
    `begin_later` runs items when they are due.
    `tell` says to all such processes that waiting lines of apps have got items. `is_full` says
    whether the process takes no more connections.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of_app: dict[str, list[Connected]] = {}
        self._all: dict[str, Connected] = {}
        self._waiting: dict[str, _Waiting] = {}
        self._unstored: dict[str, tuple[Connected | None, str]] = {}  # answers, by item
        self.opened: Callable[[str], None] = lambda app_id: None
        self._current: dict[str, str] = {}  # worker groups, by app
        self.is_full: Callable[[], bool] = lambda: False
        self.is_draining = False
        self.closed = threading.Event()  # the end of a drain
        self.begin: Callable[[Sequence[Hint]], None] | None = None
        self.begin_later: Callable[[Sequence[tuple[datetime, Hint]]], None] = lambda items: None
        self.tell: Callable[[Sequence[str]], None] = lambda app_ids: None

    def add(self, connection: Connected) -> None:
        """Add a connection whose apps are synced."""
        with self._lock:
            self._all[connection.id] = connection
            for app_id in connection.groups:
                self._of_app[app_id] = [*self._of_app.get(app_id, ()), connection]

    def open(self, connection: Connected) -> None:
        """Let a connection get calls."""
        connection.is_ready = True
        for app_id in connection.groups:
            self.opened(app_id)

    def remove(
        self, connection: Connected, patience: timedelta, unacked: frozenset[str] = frozenset()
    ) -> list[str]:
        """Forget a closed connection; its calls wait for so long to be heard of again.

        Those in `unacked`, which its worker may never have got, wait GONE_AFTER at most. Returns
        the calls that other processes had sent: nobody waits for these here.
        """
        connection.is_ready = False
        with self._lock:
            if self._all.get(connection.id) is connection:
                del self._all[connection.id]
            for app_id in connection.groups:
                left = [one for one in self._of_app.get(app_id, ()) if one is not connection]
                self._of_app[app_id] = left
                if not left:
                    del self._of_app[app_id]
            adopted = [name for name in connection.calls if name not in self._waiting]
            names = [name for name in connection.calls if name in self._waiting]
            orphans = [(name, self._waiting[name]) for name in names]
        now = time.monotonic()
        for name, waiting in orphans:
            longest = min(patience, GONE_AFTER) if name in unacked else patience
            waiting.connection, waiting.until = None, now + longest.total_seconds()
        for until in {one.until for _, one in orphans if one.until is not None}:
            later = threading.Timer(until - now + _TIMER_SLACK, self.end_overdue)
            later.daemon = True
            later.start()
        return adopted

    def end_overdue(self) -> None:
        """End the calls that have waited for as long as they may, or whose worker is lost."""
        now = time.monotonic()
        for waiting in list(self._waiting.values()):
            if waiting.until is not None and now >= waiting.until:
                waiting.end(Lost())
            elif now >= waiting.began + REQUEST_TIMEOUT.total_seconds():
                waiting.end(Reply(unreachable="timed out"))

    def has(self, request_id: str) -> bool:
        """Say whether a worker that is connected here has a call."""
        return any(request_id in one.calls for one in self.all())

    def all(self) -> list[Connected]:
        """List the connections."""
        with self._lock:
            return list(self._all.values())

    def set_current(self, groups: dict[str, str]) -> None:
        """Note the current worker group of apps, by their ids."""
        self._current = {**self._current, **groups}

    def _able(self, app_id: str) -> list[Connected]:
        """List the ready workers of an app: those of its current group, if there are any here."""
        ready = [one for one in self._of_app.get(app_id, ()) if one.is_ready]
        if len(ready) < 2:
            return ready
        newest = self._current.get(app_id)
        return [one for one in ready if one.groups[app_id] == newest] or ready

    def capacity(self, app_id: str) -> int:
        """Say how many calls the app's workers here may have in flight together."""
        return sum(one.capacity for one in self._able(app_id))

    def takes(self, app_id: str) -> bool:
        """Say whether this process, and not a worker of ours, runs the items of an app."""
        return self.begin is not None and any(one.is_ready for one in self._of_app.get(app_id, ()))

    def call(self, app_id: str, request: Request, item: Item) -> Reply | Lost:
        """Send a request and wait for the answer. Raises NoWorker.

        The worker is told that its answer has come when settle() is called with the item.
        """
        waiting = self._sent(app_id, request)
        try:
            outcome = waiting.wait()
        finally:
            self._waiting.pop(request.id, None)
        if waiting.connection is not None:
            waiting.connection.calls.discard(request.id)
        if isinstance(outcome, Reply):
            self._unstored[item.id] = waiting.connection, request.id
        return outcome

    def _sent(self, app_id: str, request: Request) -> _Waiting:
        while True:
            with self._lock:
                connection = self._pick(app_id)
                if connection is None:
                    raise NoWorker
                connection.calls.add(request.id)
                waiting = self._waiting[request.id] = _Waiting(connection)
            try:
                connection.send(request)
            except OSError:  # closed just now: its greenlet removes it
                connection.is_ready = False
                connection.calls.discard(request.id)
                self._waiting.pop(request.id, None)
            else:
                return waiting

    def _pick(self, app_id: str) -> Connected | None:
        """Choose the worker with most room; with equal room, the one that has waited longest."""
        able = self._able(app_id)
        if len(able) == 1:
            return able[0] if able[0].room else None
        best = max(able, key=lambda one: one.room, default=None)
        if best is None or not best.room:
            return None
        others = [one for one in self._of_app[app_id] if one is not best]
        self._of_app[app_id] = [*others, best]
        return best

    def answer(self, request_id: str, reply: Reply, connection: Connected | None) -> bool:
        """Hand an answer to the call that waits for it; say whether one does."""
        waiting = self._waiting.get(request_id)
        if waiting is None or isinstance(waiting.outcome, Lost):
            return False
        self._move(waiting, request_id, connection)
        waiting.end(reply)
        return True

    def go_on(self, request_id: str, connection: Connected) -> None:
        """Note that a worker goes on with a call, maybe over another connection than it got it."""
        waiting = self._waiting.get(request_id)
        if waiting is not None:
            self._move(waiting, request_id, connection)
        connection.calls.add(request_id)

    def give_up(self, request_id: str, *, begun: bool) -> None:
        """End a call that a worker will not answer: a failed attempt if it had begun."""
        waiting = self._waiting.get(request_id)
        if waiting is not None:
            waiting.end(Reply(unreachable=_STOPPED) if begun else Lost())

    def lose(self, request_id: str) -> None:
        """End a call that its worker was told to drop."""
        self.give_up(request_id, begun=False)

    def leave(self, request_id: str) -> None:
        """End a call whose answer will come to another process."""
        waiting = self._waiting.get(request_id)
        if waiting is not None:
            waiting.end(Lost(is_left=True))

    def settle(self, item: Item) -> None:
        """Tell the worker that its answer for an item is stored, or that nobody needs it."""
        if not self._unstored:
            return
        connection, request_id = self._unstored.pop(item.id, (None, ""))
        if connection is not None:
            connection.acknowledge(request_id)

    def _move(self, waiting: _Waiting, request_id: str, connection: Connected | None) -> None:
        before = waiting.connection
        if before is not None and before is not connection:
            before.calls.discard(request_id)
        waiting.connection, waiting.until = connection, None

    def left(self, everything: bool) -> list[str]:
        """Name the calls whose worker is not connected here any more, or all calls."""
        with self._lock:
            waiting = list(self._waiting.items())
        return [name for name, one in waiting if everything or one.connection is None]

    def in_flight(self) -> Counter[str]:
        """Count the calls in flight, by connection."""
        return Counter({one.id: len(one.calls) for one in self.all()})


PATIENT = LEASE
