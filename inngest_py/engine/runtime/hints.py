"""Hints: tell workers that items are due, in batches, without ever waiting for the broker.

A thread of its own publishes. While one publish is under way, the next hints pile up and leave
together: one per message under light load, many under heavy load. While the broker is away, a
worker runs the items of its own hints itself. Other processes drop their hints, and the workers'
upkeep finds the rows.
"""

import os
import threading
import time
from collections.abc import Callable, Sequence

from ... import observe
from ...domain.runs.items import ItemKind
from ...storage.db.outages import logged
from .broker import Broker
from .context import Hint

Publish = Callable[[ItemKind, list[str]], None]
Take = Callable[[ItemKind, list[str]], None]

MOST_IN_MESSAGE = 50
_MOST_WAITING = 20_000


class Hinter:
    """Publishes hints from a background thread, which starts with the process's first hint.

    `instead`, if it is set, gets the hints that cannot be published.
    """

    def __init__(self, publish: Publish, broker: Broker, *, most: int = MOST_IN_MESSAGE) -> None:
        self._publish = publish
        self._broker = broker
        self._most = most
        self._stopping = False
        self.instead: Take | None = None
        self._begin()

    def _begin(self) -> None:
        """Set up for this process: a thread does not survive a fork."""
        self._pid = os.getpid()
        self._waiting: list[Hint] = []
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def send(self, hints: Sequence[Hint]) -> None:
        """Take hints to publish; when 20,000 wait already, drop them."""
        if self._broker.away:  # a publish may be hanging: nothing may wait behind it
            self._do_instead(hints)
            return
        if self._pid != os.getpid():
            self._begin()
        with self._lock:
            if len(self._waiting) < _MOST_WAITING:
                self._waiting.extend(hints)
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name="hints", daemon=True)
                self._thread.start()
        self._wake.set()
        time.sleep(0)  # yield: else the hint would not leave before this greenlet waits

    def ask(self) -> None:
        """Start to check the broker: see Broker."""
        self._broker.ask()

    def reachable(self) -> bool:
        """Check whether the broker can be reached now: see Broker."""
        return self._broker.reachable()

    def stop(self) -> None:
        """Publish what waits, for a second at most, and end the thread."""
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=1.0)

    def _loop(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            with self._lock:
                batch, self._waiting = self._waiting, []
            self._flush(batch)
            if self._stopping and not self._waiting:
                return

    def _flush(self, batch: Sequence[Hint]) -> None:
        for kind, ids in _by_kind(batch).items():
            for start in range(0, len(ids), self._most):
                self._send(kind, ids[start : start + self._most])

    def _send(self, kind: ItemKind, ids: list[str]) -> None:
        if not self._broker.away:
            self._broker.watch()
            try:
                self._publish(kind, ids)
                return
            except Exception as error:  # any transport's own errors; the rows are safe
                self._broker.lost(error)
        self._do_instead([(kind, item_id) for item_id in ids])

    def _do_instead(self, hints: Sequence[Hint]) -> None:
        """Hand hints over that cannot be published. The caller goes on whatever happens to them."""
        if self.instead is None:
            return
        try:
            for kind, ids in _by_kind(hints).items():
                self.instead(kind, ids)
        except Exception as error:
            observe.event("hints.failed", level=40, hints=len(hints), **logged(error))


def _by_kind(hints: Sequence[Hint]) -> dict[ItemKind, list[str]]:
    found: dict[ItemKind, list[str]] = {}
    for kind, item_id in hints:
        found.setdefault(kind, []).append(item_id)
    return found
