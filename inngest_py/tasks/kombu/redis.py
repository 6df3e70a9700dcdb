"""Redis as the broker: one client per channel, and hints that need no acknowledgement.

Both are for speed only: `INNGEST_CELERY_PATCHES=off` runs without them.

Written against kombu 5.7. A channel asks `_create_client()` for a client for every message that it
sends or acknowledges. A client only wraps the channel's pool of connections, but making one fills a
table of 170 entries: 70 µs, a fifth of the CPU of a hint. Nothing else of the channel is changed,
and no channel of other users of kombu in this process.
"""

from typing import Any

from celery import Celery, bootsteps


def keep_client(channel: Any) -> None:
    """Make a channel keep its client, as long as it keeps its pool of connections.

    The client that waits for messages is not shared: it holds a connection.
    """
    if "_create_client" in vars(channel):
        return
    make: Any = channel._create_client
    kept: Any = None

    def create_client(asynchronous: bool = False) -> Any:
        nonlocal kept
        if asynchronous:
            return make(asynchronous=True)
        if kept is None or kept.connection_pool is not channel.pool:
            kept = make()
        return kept

    channel._create_client = create_client


class KeepClient(bootsteps.StartStopStep):  # type: ignore[misc]
    """Makes the channel keep its client from which a worker reads and acknowledges messages."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, consumer: Any) -> None:
        """Change the channel of a new connection."""
        keep_client(consumer.task_consumer.channel)


def keep_clients(app: Celery) -> None:
    """Make the workers of the app keep the client of their channel."""
    app.steps["consumer"].add(KeepClient)


def take_unacknowledged(app: Celery) -> None:
    """Take hints from Redis without acknowledgement: two round trips less for each.

    kombu does not deliver lost hints again then; upkeep does that better. Only under gevent, where
    a full pool stops reading: a worker of another pool would read all messages into its memory.
    """
    for queue in app.amqp.queues.values():
        queue.no_ack = True
