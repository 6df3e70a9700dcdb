"""Reads the events of a Celery app's workers, many at a time.

A worker sends two or three messages for each task. To wake up for each of them costs more than to
read it, so the caller lets them gather.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from celery import Celery
from kombu.connection import Connection
from kombu.entity import Queue
from kombu.message import Message
from kombu.messaging import Consumer

from ... import observe
from ...domain.errors import Invalid
from ...domain.values import canonical
from ...domain.values.json_types import JsonObject
from .gathered import Gathered

# the routing keys of the events that are read; prefork workers send events of tasks as lists
_KEYS = (
    *("task.received", "task.started", "task.retried"),
    *("task.failed", "task.revoked", "task.rejected", "task.multi"),
    *("worker.online", "worker.offline", "worker.heartbeat"),
)
_MOST_TOGETHER = 1000


class EventReader:
    """Reads the events that a consumer gets."""

    def __init__(self, gathered: Gathered) -> None:
        self._gathered = gathered

    def read(self, seconds: float) -> list[JsonObject]:
        """Read the events that are there, in order; wait so long for the first."""
        return [event for message in self._gathered.take(seconds) for event in _events(message)]


def _events(message: Message) -> list[JsonObject]:
    """Read the events of a message; none, with a log line, of one that is no JSON."""
    try:  # not by kombu, which calls Python for each object of the JSON
        if message.content_type != "application/json":  # a pickled message is never read
            raise Invalid(f"its content type is {message.content_type!r}")
        body = canonical.loads(message.body)
    except Invalid as error:
        observe.event("celery.strange_event", level=10, error=error.message[:200])
        return []
    found = body if isinstance(body, list) else [body]
    return [event for event in found if isinstance(event, dict)]


@contextmanager
def worker_events(client: Celery, connection: Connection) -> Iterator[EventReader]:
    """Read events over a connection from now on. Raises what the transport raises."""
    gathered = Gathered(connection, _MOST_TOGETHER)
    with Consumer(
        connection.channel(),
        queues=_queues(client, connection),
        accept=["json"],
        on_message=gathered.keep,
        no_ack=True,
    ):
        yield EventReader(gathered)


def _queues(client: Celery, connection: Connection) -> list[Queue]:
    """Make a queue for each kind of event that is read, as Celery makes one for all kinds."""
    own = client.events.Receiver(connection).queue
    return [
        Queue(
            f"{own.name}.{key}",
            exchange=own.exchange,
            routing_key=key,
            auto_delete=True,
            durable=False,
            exclusive=own.exclusive,
            queue_arguments=own.queue_arguments,
        )
        for key in _KEYS
    ]
