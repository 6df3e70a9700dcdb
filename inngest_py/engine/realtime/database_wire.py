"""Realtime messages among processes, by a table: for installations without a broker.

A process with subscribers looks for rows every 50 ms, and at once after its own. One without looks
every two seconds, for the runs that others follow.
"""

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy.exc import SQLAlchemyError

from ... import observe
from ...domain.realtime.messages import Delivery, unpack
from ...storage.db.outages import logged
from ...storage.db.session import Database
from ...storage.operations import realtime as rows
from .followed import EVERY_SECONDS
from .hub import Hub
from .outbox import SEND_SECONDS, Outbox

_LOOK_SECONDS = 0.05
_IDLE_SECONDS = 2.0
_AFTER_OUTAGE_SECONDS = 1.0
_FORGET_SECONDS = 10.0
_KEPT = timedelta(minutes=1)


class DatabaseWire:
    """One process's way to the others. Its threads begin with start() and the first message."""

    def __init__(self, db: Database, hub: Hub, name: str, now: Callable[[], datetime]) -> None:
        self._db, self._hub, self._id, self._now = db, hub, name, now
        self._outbox = Outbox(name, lambda text: self._put(rows.MESSAGES, text), hub.deliver)
        self._reading = threading.Event()
        self._asked = threading.Event()
        self._is_stopped = False
        self._listened_at = self._told_at = self._forgot_at = float("-inf")
        self._last: int | None = None
        self._was_used = self._is_away = False
        self._thread = threading.Thread(target=self._watch, name="realtime-watch", daemon=True)

    def start(self) -> None:
        """Begin to look for rows."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._is_stopped = True
        self._asked.set()
        if self._thread.ident is not None:
            self._thread.join(_IDLE_SECONDS)

    def send(self, delivery: Delivery, *, wait: bool) -> bool:
        """Write a message for all processes; False if it will not come back to us."""
        return self._outbox.send(delivery, comes_back=self._reading.is_set(), wait=wait)

    def listen(self, seconds: float) -> None:
        """Read what others publish, from now on; wait so long until that has begun."""
        self._listened_at = time.monotonic()
        self._asked.set()
        self._reading.wait(seconds)

    def follow(self) -> None:
        """Tell others which runs are followed here now."""
        telling = threading.Thread(target=self._tell_followed, daemon=True)
        telling.start()
        telling.join(SEND_SECONDS)

    def _tell_followed(self) -> None:
        told = {"process": self._id, "runs": self._hub.runs()}
        if self._put(rows.FOLLOWED, orjson.dumps(told)):
            self._told_at = time.monotonic()

    def _put(self, kind: str, text: bytes) -> bool:
        now, at = self._now(), time.monotonic()
        forget = at > self._forgot_at + _FORGET_SECONDS
        try:
            with self._db.transaction() as tx:
                rows.put(tx, kind, text.decode(), now)
                if forget:
                    rows.forget(tx, now - _KEPT)
        except SQLAlchemyError as error:
            observe.event("realtime.not_sent", level=30, **logged(error))
            return False
        self._forgot_at = at if forget else self._forgot_at
        self._asked.set()
        return True

    def _watch(self) -> None:
        while not self._is_stopped:
            wait = _LOOK_SECONDS if self._is_used() else _IDLE_SECONDS
            try:
                self._look()
                self._is_away = False
            except SQLAlchemyError as error:
                self._lose(error)
                wait = _AFTER_OUTAGE_SECONDS
            if self._hub.runs() and time.monotonic() > self._told_at + EVERY_SECONDS:
                self._tell_followed()
            self._asked.wait(wait)
            self._asked.clear()

    def _lose(self, error: SQLAlchemyError) -> None:
        """Hand our own messages over ourselves, until rows can be read again."""
        self._reading.clear()
        self._outbox.expect_none_back()
        if not self._is_away:
            observe.event("realtime.not_read", level=30, **logged(error))
        self._is_away = True

    def _is_used(self) -> bool:
        return bool(self._hub.subscribers) or time.monotonic() < self._listened_at + _IDLE_SECONDS

    def _look(self) -> None:
        """Take the rows that are new: all of them if somebody was subscribed at the last look."""
        is_used = self._is_used()
        reads_all = is_used and self._was_used
        with self._db.reading() as tx:
            newest = 0 if reads_all else rows.newest(tx)
            last = newest if self._last is None else self._last
            found = rows.after(tx, last, only_followed=not reads_all)
        self._last = max(last, newest, *(row["id"] for row in found))
        self._was_used = is_used
        if is_used:
            self._reading.set()
        else:
            self._reading.clear()
            self._outbox.expect_none_back()
        for row in found:
            self._take(row["kind"], orjson.loads(row["body"]))
        if reads_all and len(found) == rows.MOST:
            self._asked.set()

    def _take(self, kind: str, body: Any) -> None:
        if kind == rows.FOLLOWED:
            self._hub.followed.note(body["process"], body["runs"])
            return
        for given in body:
            if self._outbox.hands_over(given):
                self._hub.deliver(unpack(given))
