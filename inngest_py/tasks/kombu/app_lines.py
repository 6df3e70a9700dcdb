"""Tells the processes that hold connections of workers which apps have got waiting items.

One message for all of them, by an exchange of the kind fanout: whoever has room lets items in, and
the database decides who gets which. A message that is lost costs five seconds: see
engine/upkeep/app_lines.py.
"""

import threading
from collections.abc import Callable, Iterable
from typing import Any

from celery import Celery
from kombu.entity import Exchange, Queue
from kombu.mixins import ConsumerMixin
from kombu.utils.uuid import uuid

from ... import observe
from ...domain.runs.items import ItemKind

_EXCHANGE = Exchange("inngest.connected", type="fanout", durable=False, delivery_mode="transient")


class LinePublisher:
    """Sends the ids of apps whose lines have got items; one message for many."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def __call__(self, _kind: ItemKind, app_ids: list[str]) -> None:
        """Send one message; raises what the transport raises."""
        with self._app.producer_pool.acquire(block=True) as producer:
            producer.publish(
                sorted(set(app_ids)),
                exchange=_EXCHANGE,
                routing_key="",
                serializer="json",
                declare=[_EXCHANGE],
                retry=False,
            )


class LineReader(ConsumerMixin):
    """Reads these messages in a thread, and connects again as long as it takes."""

    def __init__(self, app: Celery, note: Callable[[str], None]) -> None:
        self._app, self._note = app, note
        self._is_away = False
        self._name = f"inngest.connected.{uuid()}"
        self.connection = app.connection_for_read()
        self._thread = threading.Thread(target=self._read, name="connected-lines", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread soon."""
        self.should_stop = True

    def get_consumers(self, make: Any, _channel: object) -> list[object]:
        """Make the consumer of this process's own queue; kombu calls this."""
        queue = Queue(self._name, _EXCHANGE, exclusive=True, auto_delete=True, durable=False)
        return [make(queues=[queue], accept=["json"], callbacks=[self._take], no_ack=True)]

    def on_connection_error(self, exc: Exception, _interval: float) -> None:
        """Say once that the broker is away; kombu waits and connects again."""
        if not self._is_away:
            observe.event("connected.lines_away", level=30, error=type(exc).__name__)
        self._is_away = True

    def on_consume_ready(self, *_given: object, **_more: object) -> None:
        """Note that messages come again."""
        self._is_away = False

    def _take(self, body: object, _message: object) -> None:
        for app_id in body if isinstance(body, Iterable) else ():
            if isinstance(app_id, str):
                self._note(app_id)

    def _read(self) -> None:
        self.run()
