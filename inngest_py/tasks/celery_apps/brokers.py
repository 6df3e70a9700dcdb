"""Connections to the brokers of Celery apps, and the messages that carry tasks."""

import threading
from typing import Any

from celery import Celery
from kombu.entity import Exchange, Queue
from kombu.exceptions import OperationalError

from ...domain.values import canonical
from ...engine.runtime.celery_apps import BrokerAway, CeleryApp, TaskMessage

DONE, FAILED = "inngest.celery.done", "inngest.celery.failed"
_CONNECT_SECONDS = 5
# options of a signature that are fields of its message; `countdown` and `eta` are rows here
_MESSAGE_OPTIONS = ("expires", "time_limit", "soft_time_limit", "priority")


def answers_queue(app: CeleryApp) -> Queue:
    """Declare where the app's workers send answers: a queue of this installation alone."""
    name = f"inngest.answers.{app.app_id}"
    return Queue(name, Exchange(name, type="direct"), routing_key=name, durable=True)


def connect(app: CeleryApp, **options: Any) -> Celery:
    """Make a Celery client of an app's broker; `options` add to its transport's options."""
    made = Celery(f"inngest_py.{app.name}", set_as_current=False, fixups=[])
    made.conf.update(
        broker_url=app.broker_url,
        broker_transport_options=canonical.loads(app.options) | options,
        broker_connection_timeout=_CONNECT_SECONDS,
        broker_connection_retry=False,
        task_default_queue=app.queue,
        task_create_missing_queues=True,
        accept_content=["json"],
        enable_utc=True,
        timezone="UTC",
        worker_enable_remote_control=True,
    )
    return made


class _Broker:
    """The client of one app, and the queues that it has declared."""

    def __init__(self, app: CeleryApp) -> None:
        self.app, self.client = app, connect(app)
        self._answers = answers_queue(app)
        self._declared = False

    def send(self, message: TaskMessage) -> None:
        options = message.options
        callback: dict[str, object] = {
            "args": [],
            "kwargs": {"token": message.token},
            "options": {
                "exchange": self._answers.exchange.name,
                "routing_key": self._answers.routing_key,
                "serializer": "json",
            },
            "subtask_type": None,
            "immutable": False,
        }
        amqp = self.client.amqp
        made = amqp.create_task_message(
            message.task_id,
            message.name,
            message.args,
            message.kwargs,
            callbacks=[{**callback, "task": DONE}],
            errbacks=[{**callback, "task": FAILED}],
            **{name: options[name] for name in _MESSAGE_OPTIONS if options.get(name) is not None},
        )
        with self.client.producer_pool.acquire(block=True) as producer:
            declare = [] if self._declared else [self._answers]
            producer.publish(
                made.body,
                exchange="",  # straight to the queue
                routing_key=options.get("queue") or self.app.queue,
                headers=made.headers,
                serializer="json",
                delivery_mode=2,  # durable: the broker keeps it over a restart
                declare=declare,
                retry=True,
                retry_policy={"max_retries": 1, "interval_start": 0},
                **made.properties,
            )
        self._declared = True

    def close(self) -> None:
        self.client.close()


class Brokers:
    """The brokers of this process, connected when they are first needed; safe across threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_id: dict[str, _Broker] = {}

    def send(self, app: CeleryApp, message: TaskMessage) -> None:
        """Send a task. Raises BrokerAway."""
        broker = self._broker(app)
        try:
            broker.send(message)
        except (
            OperationalError,
            OSError,
            *broker.client.connection_for_write().connection_errors,
        ) as error:
            raise BrokerAway(f"the broker of {app.name} is away: {type(error).__name__}") from error

    def _broker(self, app: CeleryApp) -> _Broker:
        with self._lock:
            known = self._by_id.get(app.app_id)
            if known is not None and known.app == app:
                return known
            made = self._by_id[app.app_id] = _Broker(app)
        if known is not None:
            known.close()
        return made

    def close(self) -> None:
        """Disconnect from all."""
        with self._lock:
            brokers, self._by_id = list(self._by_id.values()), {}
        for broker in brokers:
            broker.close()
