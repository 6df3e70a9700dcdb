"""The hub of one process: its subscribers by topic. Publishers never wait for them."""

import threading
import time
from collections import Counter
from collections.abc import Iterable
from typing import Protocol

from ...domain.realtime.messages import Delivery
from ...domain.realtime.topics import Topic
from .followed import Followed, bounded

# so many subscribers get a message before others get their turn: about a millisecond
_AT_ONCE = 200
_LOOK_SECONDS = 0.05
_READY_SECONDS = 3.0


class Subscriber(Protocol):
    """A connection that has subscribed."""

    def deliver(self, payload: str | bytes) -> bool:
        """Take a message or passed-on bytes; never waits, never raises. False: it got nothing."""

    def stop(self) -> None:
        """End: the process ends, and the client should connect to another."""


class Wire(Protocol):
    """The way of messages to other processes."""

    def send(self, delivery: Delivery, *, wait: bool) -> bool:
        """Send a message to all processes. True: it comes back to this one, too.

        With `wait`, waits until it is on its way, two seconds at most. Never raises.
        """

    def listen(self, seconds: float) -> None:
        """Read what others publish; wait until it comes, but no longer than this."""

    def follow(self) -> None:
        """Tell others which runs are followed here now; waits two seconds at most."""


class Hub:
    """The subscribers of one process, and what was published here."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of_topic: dict[Topic, dict[Subscriber, None]] = {}
        self._topics: dict[Subscriber, set[Topic]] = {}
        self._runs: Counter[str] = Counter()
        self.followed = Followed()
        self._is_closed = False
        self.wire: Wire | None = None  # None: no other process has subscribers
        self.published = self.delivered = self.dropped = self.too_slow = 0

    @property
    def subscribers(self) -> int:
        """How many connections are open."""
        return len(self._topics)

    def subscribe(self, subscriber: Subscriber, topics: Iterable[Topic]) -> None:
        """Add topics to those that a subscriber has.

        Waits until messages of other processes come, for three seconds at most.
        """
        if self.wire is not None:
            self.wire.listen(_READY_SECONDS)
        with self._lock:
            mine = self._topics.setdefault(subscriber, set())
            new = [topic for topic in topics if topic not in mine]
            for topic in new:
                mine.add(topic)
                self._of_topic.setdefault(topic, {})[subscriber] = None
            changed = self._count_runs(new, 1)
        self._tell(changed)
        if self._is_closed:
            subscriber.stop()

    def _count_runs(self, topics: Iterable[Topic], change: int) -> bool:
        """Count who follows which run here; say whether others must know. Holds the lock."""
        found = Counter(topic.run_id for topic in topics if topic.run_id is not None)
        if not found:
            return False
        before = self._runs.keys()
        self._runs = +(self._runs + found if change > 0 else self._runs - found)
        return self._runs.keys() != before

    def _tell(self, changed: bool) -> None:
        if changed:
            self.followed.note("here", self.runs(), lasting=True)
            if self.wire is not None:
                self.wire.follow()

    def runs(self) -> list[str]:
        """List the runs that are followed here; EVERY, if they are very many."""
        return bounded(self._runs)

    def unsubscribe(self, subscriber: Subscriber, topics: Iterable[Topic]) -> None:
        """Take topics from a subscriber; it stays one without any."""
        with self._lock:
            changed = self._remove(subscriber, list(topics))
        self._tell(changed)

    def leave(self, subscriber: Subscriber) -> None:
        """Forget a subscriber."""
        with self._lock:
            changed = self._remove(subscriber, list(self._topics.get(subscriber, ())))
            self._topics.pop(subscriber, None)
        self._tell(changed)

    def close(self, seconds: float) -> None:
        """End all subscriptions, and wait so long until their connections are closed."""
        self._is_closed = True
        with self._lock:
            open_now = list(self._topics)
        for subscriber in open_now:
            subscriber.stop()
        deadline = time.monotonic() + seconds
        while self._topics and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)

    def _remove(self, subscriber: Subscriber, topics: list[Topic]) -> bool:
        mine = self._topics.get(subscriber, set())
        changed = self._count_runs([topic for topic in topics if topic in mine], -1)
        for topic in topics:
            mine.discard(topic)
            others = self._of_topic.get(topic)
            if others is not None:
                others.pop(subscriber, None)
                if not others:
                    del self._of_topic[topic]
        return changed

    def topics_of(self, subscriber: Subscriber) -> list[Topic]:
        """List the topics of a subscriber."""
        with self._lock:
            return sorted(self._topics.get(subscriber, ()))

    def publish(self, delivery: Delivery) -> None:
        """Hand a message to all subscribers, those of other processes, too."""
        self._publish(delivery, wait=True)

    def publish_soon(self, delivery: Delivery) -> None:
        """Publish without a wait for anything."""
        self._publish(delivery, wait=False)

    def _publish(self, delivery: Delivery, *, wait: bool) -> None:
        self.published += 1
        if self.wire is None or not self.wire.send(delivery, wait=wait):
            self.deliver(delivery)

    def deliver(self, delivery: Delivery) -> None:
        """Hand a message to the subscribers of this process, once for each topic that matches."""
        for topic in delivery.topics:
            with self._lock:
                found = list(self._of_topic.get(topic, ()))
            for place, subscriber in enumerate(found, 1):
                if subscriber.deliver(delivery.payload):
                    self.delivered += 1
                else:
                    self.dropped += 1
                if place % _AT_ONCE == 0:
                    time.sleep(0)
