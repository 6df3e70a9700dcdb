"""Reads answers by a consumer of kombu, from any broker."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from celery import Celery
from kombu.entity import Queue
from kombu.messaging import Consumer

from .deliveries import MOST_TOGETHER, Delivery, Reader
from .gathered import Gathered

_PREFETCH = 256
# RabbitMQ closes a connection that has been silent for two to three of these, and gives what was
# taken over it to another worker: before its task counts as lost, which takes half a minute
_HEARTBEAT_SECONDS = 5


class _ConsumerReader:
    """Takes what a consumer gets; the broker gives back what this process never settles."""

    def __init__(self, gathered: Gathered) -> None:
        self._gathered = gathered

    def read(self, seconds: float) -> Sequence[Delivery]:
        found = self._gathered.take(seconds)
        return [Delivery(message, message.ack) for message in found]


@contextmanager
def consumer_reader(client: Celery, queue: Queue) -> Iterator[Reader]:
    """Connect, and read messages of a queue. Raises what the transport raises."""
    with client.connection_for_read(heartbeat=_HEARTBEAT_SECONDS) as connection:
        connection.connect()
        gathered = Gathered(connection, MOST_TOGETHER)
        with Consumer(
            connection.channel(),
            queues=[queue],
            accept=["json"],
            on_message=gathered.keep,
            prefetch_count=_PREFETCH,
        ):
            yield _ConsumerReader(gathered)
