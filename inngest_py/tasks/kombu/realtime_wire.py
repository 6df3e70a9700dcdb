"""Realtime messages among processes, by the broker.

A process with subscribers reads what all publish, its own messages too, and hands it over in the
order in which the broker has it: so two messages of a publisher keep their order, even if a load
balancer sent them to two processes. It reads only while somebody subscribes. A process whose
messages cannot come back (the broker is away, or it does not read yet) hands them over itself.
"""

import threading
import time
from collections.abc import Callable, Mapping
from functools import partial

import orjson
from celery import Celery
from kombu.entity import Exchange
from kombu.utils.uuid import uuid

from ... import observe
from ...domain.realtime.messages import Delivery, unpack
from ...engine.realtime.followed import EVERY_SECONDS, Followed
from ...engine.realtime.hub import Hub
from ...engine.realtime.outbox import SEND_SECONDS, Outbox
from ...engine.runtime.broker import Broker
from .fanout import FanoutReader, fanout, publish

_MESSAGES = fanout("inngest.realtime")
FOLLOWED = fanout("inngest.followed")
_PROBE_SECONDS = 0.05
_LOOK_SECONDS = 1.0
_CHECK_SECONDS = 10.0
# for so long a process reads on without subscribers
_LINGER_SECONDS = 30.0


class BrokerWire:
    """One process's way to the others. Its threads begin with the first message or subscriber."""

    def __init__(self, app: Celery, broker: Broker, hub: Hub) -> None:
        self._app, self._broker, self._hub = app, broker, hub
        self._id = uuid()
        self._lock = threading.Lock()
        self._outbox = Outbox(self._id, lambda text: self._publish(_MESSAGES, text), hub.deliver)
        self._reader: FanoutReader | None = None
        self._ready = threading.Event()
        self._heard_at = self._told_at = self._used_at = 0.0
        self._telling = threading.Lock()

    def send(self, delivery: Delivery, *, wait: bool) -> bool:
        """Hand a message to the broker for all processes; False if it will not come back to us."""
        if self._broker.away:
            return False
        return self._outbox.send(delivery, comes_back=self._ready.is_set(), wait=wait)

    def follow(self) -> None:
        """Tell others which runs are followed here now."""
        if self._broker.away:
            return
        telling = threading.Thread(target=self._tell_followed, daemon=True)
        telling.start()
        telling.join(SEND_SECONDS)

    def _tell_followed(self) -> None:
        with self._telling:  # so that the last to leave is the newest
            told = {"process": self._id, "runs": self._hub.runs()}
            self._publish(FOLLOWED, orjson.dumps(told))
            self._told_at = time.monotonic()

    def _publish(self, exchange: Exchange, text: bytes) -> bool:
        if self._broker.away:
            return False
        self._broker.watch()
        try:
            publish(self._app, exchange, text.decode())
        except Exception as error:  # any transport's own errors
            self._broker.lost(error)
            return False
        return True

    def listen(self, seconds: float) -> None:
        """Read what others publish, from now on; wait so long until it comes."""
        with self._lock:
            self._used_at = time.monotonic()
            if self._reader is None:
                self._heard_at = time.monotonic()
                self._reader = self._new_reader()
                threading.Thread(target=self._watch, name="realtime-watch", daemon=True).start()
        if not self._broker.away:
            self._ready.wait(seconds)

    def _new_reader(self) -> FanoutReader:
        reader = FanoutReader(self._app, {_MESSAGES: self._take}, "realtime")
        reader.lost = partial(self._lost, reader)
        reader.start()
        return reader

    def _lost(self, reader: FanoutReader) -> None:
        """Hand our own messages over ourselves, until they come back again."""
        if self._reader is reader:
            self._ready.clear()
            self._outbox.expect_none_back()

    def _watch(self) -> None:
        """Send ourselves messages that say whether we read; end when nobody is subscribed."""
        asked_at = time.monotonic()
        while self._is_used():
            now = time.monotonic()
            if now > self._heard_at + 2 * _CHECK_SECONDS and not self._broker.away:
                self._again()
            if not self._ready.is_set() or now > asked_at + _CHECK_SECONDS:
                asked_at = now
                self._publish(_MESSAGES, orjson.dumps([{"probe": self._id}]))
            if self._hub.runs() and now > self._told_at + EVERY_SECONDS:
                self._tell_followed()
            is_quiet = self._ready.is_set() or self._broker.away
            time.sleep(_LOOK_SECONDS if is_quiet else _PROBE_SECONDS)

    def _is_used(self) -> bool:
        """Say whether somebody is subscribed, or was just now; end the reader if not."""
        with self._lock:
            now = time.monotonic()
            if self._hub.subscribers:
                self._used_at = now
            if now <= self._used_at + _LINGER_SECONDS:
                return True
            self._ready.clear()
            self._outbox.expect_none_back()
            if self._reader is not None:
                self._reader.stop()
            self._reader = None
            return False

    def _again(self) -> None:
        """Read with a new connection: the old one brings nothing any more."""
        observe.event("realtime.reader_restarted", level=30)
        self._ready.clear()
        self._outbox.expect_none_back()
        self._heard_at = time.monotonic()
        if self._reader is not None:
            self._reader.stop()
        self._reader = self._new_reader()

    def _take(self, body: str | bytes) -> None:
        self._heard_at = time.monotonic()
        for given in orjson.loads(body):
            self._take_one(given)

    def _take_one(self, given: Mapping[str, object]) -> None:
        if "probe" in given:
            if given["probe"] == self._id and not self._ready.is_set():
                self._outbox.expect_none_back()  # what was sent just when the last reader ended
                self._ready.set()
        elif self._outbox.hands_over(given):
            self._hub.deliver(unpack(given))


def note_followed(followed: Followed) -> Callable[[str | bytes], None]:
    """Make what takes the messages about followed runs."""

    def take(body: str | bytes) -> None:
        told = orjson.loads(body)
        followed.note(str(told["process"]), [str(run_id) for run_id in told["runs"]])

    return take


def followed_reader(app: Celery, followed: Followed) -> FanoutReader:
    """Make what reads these messages for a worker, and for the children that it forks."""
    return FanoutReader(app, {FOLLOWED: note_followed(followed)}, "followed runs")
