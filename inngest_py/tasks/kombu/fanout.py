"""Messages to all processes, by an exchange of the kind fanout. Who is not there misses them."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from celery import Celery
from kombu.entity import Exchange, Queue
from kombu.message import Message
from kombu.mixins import ConsumerMixin
from kombu.utils.uuid import uuid

from ... import observe
from ...storage.db.outages import logged

_AGAIN_SECONDS = 1.0


def fanout(name: str) -> Exchange:
    """Describe an exchange whose messages go to all that read now."""
    return Exchange(name, type="fanout", durable=False, delivery_mode="transient")


def publish(app: Celery, exchange: Exchange, body: str) -> None:
    """Send one message of JSON; raises what the transport raises."""
    with app.producer_pool.acquire(block=True) as producer:
        producer.publish(
            body,
            exchange=exchange,
            routing_key="",
            content_type="application/json",
            content_encoding="utf-8",
            declare=[exchange],
            retry=False,
        )


def _queue(exchange: Exchange) -> Queue:
    """Describe a queue of one connection alone, which is gone when the connection is."""
    name = f"{exchange.name}.{uuid()}"
    return Queue(name, exchange, exclusive=True, auto_delete=True, durable=False)


class FanoutReader(ConsumerMixin):
    """Reads exchanges' messages in a thread, and connects again as long as it takes.

    `takes` has what gets the text of each message, by exchange; `name` is its name in the log.
    `lost` is called when messages come no more.
    """

    def __init__(
        self, app: Celery, takes: Mapping[Exchange, Callable[[str | bytes], None]], name: str
    ) -> None:
        self._takes = takes
        self._name = name
        self.lost: Callable[[], None] = lambda: None
        self._is_away = False
        self.connection = app.connection_for_read()
        self._thread = threading.Thread(target=self._read, name=name, daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread soon."""
        self.should_stop = True

    def get_consumers(self, make: Callable[..., object], _channel: object) -> list[object]:
        """Make the consumers; kombu calls this."""
        return [
            make(queues=[_queue(exchange)], on_message=partial(self._pass_on, take), no_ack=True)
            for exchange, take in self._takes.items()
        ]

    def consume(self, *given: object, **more: object) -> Iterator[None]:
        """Read until the connection is lost; kombu calls this."""
        try:
            yield from super().consume(*given, **more)
        finally:
            self.lost()

    def on_connection_error(self, exc: Exception, _interval: float) -> None:
        """Say once that the broker is away; kombu waits and connects again."""
        if not self._is_away:
            error = type(exc).__name__
            observe.event("broker.news_away", level=30, reader=self._name, error=error)
        self._is_away = True

    def on_consume_ready(self, *_given: object, **_more: object) -> None:
        """Note that messages come again."""
        self._is_away = False

    def _pass_on(self, take: Callable[[str | bytes], None], message: Message) -> None:
        try:
            take(message.body)
        except Exception as error:  # not of ours: another version's
            observe.event("broker.not_read", level=30, reader=self._name, **logged(error))

    def _read(self) -> None:
        """Read, and connect again for ever. kombu's own loop would log a traceback each time."""
        expected = self.connection_errors + self.channel_errors
        while not self.should_stop:
            try:
                for _ in self.consume(limit=None):
                    pass
            except expected as error:
                self.on_connection_error(error, _AGAIN_SECONDS)
            except Exception as error:
                observe.event("broker.news_failed", level=40, reader=self._name, **logged(error))
            time.sleep(_AGAIN_SECONDS)
