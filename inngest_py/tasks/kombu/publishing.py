"""Publish hints as Celery's send_task() does, but find the route of each kind only once."""

from celery import Celery
from kombu.utils.uuid import uuid

from ...domain.runs.items import ItemKind

_SHOWN = 3  # how many ids Flower shows of a task's arguments
_END = 8  # how many last characters of each: a ULID begins with its time, as its neighbours do


def task_name(kind: ItemKind) -> str:
    """Name the task of a kind, as Flower shows it."""
    return f"inngest.{kind.value}"


class Publisher:
    """Sends messages that name due items, to the queues that the configuration routes them to.

    send_task() finds the route, binds and declares the queue again for each message: a third of
    its CPU.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._queues: dict[ItemKind, str] = {}  # declared already

    def __call__(self, kind: ItemKind, item_ids: list[str]) -> None:
        """Send one message; raises what the transport raises."""
        amqp = self._app.amqp
        message = amqp.create_task_message(
            uuid(),
            task_name(kind),
            (item_ids,),
            {},
            argsrepr=describe_arguments(kind, item_ids),
            kwargsrepr="",
            ignore_result=True,
        )
        name, declare = self._queues.get(kind), []
        if name is None:
            queue = amqp.router.route({}, task_name(kind))["queue"]
            name, declare = queue.name, [queue]
        with self._app.producer_pool.acquire(block=True) as producer:
            producer.publish(
                message.body,
                exchange="",  # straight to the queue
                routing_key=name,
                headers=message.headers,
                serializer=self._app.conf.task_serializer,
                delivery_mode="transient",  # a lost hint loses nothing: the work is in rows
                declare=declare,
                **message.properties,
            )
        self._queues[kind] = name


def describe_arguments(kind: ItemKind, item_ids: list[str]) -> str:
    """Describe a task's arguments for Flower: the kind, and the ends of the first ids."""
    ends = " ".join(f"…{item_id[-_END:]}" for item_id in item_ids[:_SHOWN])
    more = len(item_ids) - _SHOWN
    return f"{kind.value} {ends} +{more}" if more > 0 else f"{kind.value} {ends}"
