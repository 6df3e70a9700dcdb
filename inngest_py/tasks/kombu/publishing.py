"""Publish hints as Celery's send_task() does, but find the route of each kind only once.

This is for speed only: `INNGEST_CELERY_PATCHES=off` sends hints by send_task() itself.

Written against Celery 5.7 and kombu 5.7: the message is the one of `AMQP.create_task_message`, and
what send_task() does with it besides (routing, results, its own events) a hint does not need.
"""

from celery import Celery
from kombu.utils.uuid import uuid

from ...domain.runs.items import ItemKind
from .redis import keep_client

_SHOWN = 3  # how many ids Flower shows of a task's arguments
_DELIVERY = "transient"  # a lost hint loses nothing: the work is in rows
_END = 8  # how many last characters of each: a ULID begins with its time, as its neighbours do


def task_name(kind: ItemKind) -> str:
    """Name the task of a kind, as Flower shows it."""
    return f"inngest.{kind.value}"


class Publisher:
    """Sends messages that name due items, to the queues that the configuration routes them to.

    send_task() finds the route, binds and declares the queue again for each message: a third of
    its CPU.
    """

    def __init__(self, app: Celery, *, on_redis: bool) -> None:
        self._app, self._on_redis = app, on_redis
        self._queues: dict[ItemKind, str] = {}  # declared already

    def __call__(self, kind: ItemKind, item_ids: list[str]) -> None:
        """Send one message; raises what the transport raises."""
        amqp = self._app.amqp
        message = amqp.create_task_message(
            uuid(), task_name(kind), (item_ids,), {}, **_about(kind, item_ids)
        )
        name, declare = self._queues.get(kind), []
        if name is None:
            queue = amqp.router.route({}, task_name(kind))["queue"]
            name, declare = queue.name, [queue]
        with self._app.producer_pool.acquire(block=True) as producer:
            if self._on_redis:
                keep_client(producer.channel)
            producer.publish(
                message.body,
                exchange="",  # straight to the queue
                routing_key=name,
                headers=message.headers,
                serializer=self._app.conf.task_serializer,
                delivery_mode=_DELIVERY,
                declare=declare,
                **message.properties,
            )
        self._queues[kind] = name


class PlainPublisher:
    """Sends messages that name due items by Celery's own send_task()."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def __call__(self, kind: ItemKind, item_ids: list[str]) -> None:
        """Send one message; raises what the transport raises."""
        about = _about(kind, item_ids)
        self._app.send_task(task_name(kind), args=(item_ids,), delivery_mode=_DELIVERY, **about)


def _about(kind: ItemKind, item_ids: list[str]) -> dict[str, object]:
    shown = describe_arguments(kind, item_ids)
    return {"argsrepr": shown, "kwargsrepr": "", "ignore_result": True}


def describe_arguments(kind: ItemKind, item_ids: list[str]) -> str:
    """Describe a task's arguments for Flower: the kind, and the ends of the first ids."""
    ends = " ".join(f"…{item_id[-_END:]}" for item_id in item_ids[:_SHOWN])
    more = len(item_ids) - _SHOWN
    return f"{kind.value} {ends} +{more}" if more > 0 else f"{kind.value} {ends}"
