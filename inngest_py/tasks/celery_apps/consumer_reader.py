"""Reads answers by a consumer of kombu, from any broker."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from celery import Celery
from kombu.connection import Connection
from kombu.entity import Queue
from kombu.message import Message
from kombu.messaging import Consumer

from .deliveries import MOST_TOGETHER, Delivery, Reader

_PREFETCH = 256
# RabbitMQ closes a connection that has been silent for two to three of these, and gives what was
# taken over it to another worker: before its task counts as lost, which takes half a minute
_HEARTBEAT_SECONDS = 5


class _ConsumerReader:
    """Collects what a consumer gets; the broker gives back what this process never settles."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._got: list[Message] = []

    def take(self, message: Message) -> None:
        self._got.append(message)

    def read(self, seconds: float) -> Sequence[Delivery]:
        try:
            while len(self._got) < MOST_TOGETHER:
                self._connection.drain_events(timeout=seconds)
                seconds = 0.001
        except TimeoutError:
            pass
        self._connection.heartbeat_check()
        got, self._got = self._got, []
        return [Delivery(message, message.ack) for message in got]


@contextmanager
def consumer_reader(client: Celery, queue: Queue) -> Iterator[Reader]:
    """Connect, and read messages of a queue. Raises what the transport raises."""
    with client.connection_for_read(heartbeat=_HEARTBEAT_SECONDS) as connection:
        connection.connect()
        reader = _ConsumerReader(connection)
        with Consumer(
            connection.channel(),
            queues=[queue],
            accept=["json"],
            on_message=reader.take,
            prefetch_count=_PREFETCH,
        ):
            yield reader
