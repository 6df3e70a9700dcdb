"""Connections to the brokers of Celery apps, and the messages that carry tasks."""

import hashlib
import threading
from collections.abc import Sequence
from contextlib import nullcontext

from celery import Celery
from kombu import exceptions
from kombu.entity import Exchange, Queue
from kombu.exceptions import OperationalError
from kombu.messaging import Producer

from ...domain.values import canonical
from ...engine.runtime.celery_apps import BrokerAway, CeleryApp, TaskMessage
from .questions import JsonControl
from .task_messages import CONTENT_ENCODING, CONTENT_TYPE, Writer, Written

# kombu 5.7 sends batches; before it, each message alone
_BATCH_FAILED = getattr(exceptions, "BatchPublishError", OperationalError)
_CONNECT_SECONDS = 5
_SOCKET_SECONDS = 10  # a broker that says nothing for so long counts as away
# of our own: kombu would give the app's own unacknowledged tasks back to it after this time
_REDELIVER_SECONDS = 30
_REFUSALS = (
    "AccessRefused",
    "AuthenticationError",
    "NoPermissionError",
    "NotAllowed",
    "ResponseError",
)
_FIXES = {
    "OutOfMemoryError": "the broker's memory is full: give it more, or delete what fills it",
    "ReadOnlyError": "the broker is a read-only replica: connect the app to its primary",
    **dict.fromkeys(
        _REFUSALS,
        "the broker refuses us: check user, password and virtual host or database in its URL",
    ),
}
_AWAY = "the broker cannot be reached: check its URL, and that it runs"
UNUSABLE = "the broker's URL or options cannot be used: connect the app again with others"


def _ours(app: CeleryApp) -> str:
    """Name the app in this installation: another may have an app of this name on this broker."""
    return f"{app.app_id}.{hashlib.sha256(app.secret.encode()).hexdigest()[:16]}"


def answers_queue(app: CeleryApp) -> Queue:
    """Declare where the app's workers send answers: a queue of this installation alone.

    Answers name the queue; those of tasks that were sent before an upgrade may name the exchange.
    """
    name = f"inngest.answers.{_ours(app)}"
    return Queue(name, Exchange(name, type="direct"), routing_key=name, durable=True)


def is_redis(app: CeleryApp) -> bool:
    """Say whether the app's broker is Redis or Valkey."""
    return app.broker_url.startswith(("redis", "sentinel", "valkey"))


def connect(app: CeleryApp) -> Celery:
    """Make a Celery client of an app's broker."""
    made = Celery(f"inngest_py.{app.name}", set_as_current=False, fixups=[], control=JsonControl)
    made.conf.update(
        broker_url=app.broker_url,
        broker_transport_options=_transport_options(app),
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


def _transport_options(app: CeleryApp) -> dict[str, object]:
    """Add to the app's options of its transport what keeps us apart from its workers.

    In Redis, who reads also gives back messages that were not acknowledged for some time: with the
    workers' keys we would do that with the app's tasks, and after our time.
    """
    given: dict[str, object] = canonical.loads(app.options)
    if app.broker_url.startswith(("amqp", "pyamqp")):
        # a message into a connection that is just being lost would vanish without an error
        return {"confirm_publish": True} | given
    if not is_redis(app):
        return given
    names = ("unacked_key", "unacked_index_key", "unacked_mutex_key")
    own: dict[str, object] = {name: f"inngest.{name}.{_ours(app)}" for name in names}
    times = {"visibility_timeout": _REDELIVER_SECONDS, "unacked_mutex_expire": _REDELIVER_SECONDS}
    return {"socket_timeout": _SOCKET_SECONDS} | given | own | times


def errors_of(client: Celery) -> tuple[type[BaseException], ...]:
    """List what a client raises when its broker is away, or refuses it."""
    connection = client.connection_for_write()
    raised = (*connection.connection_errors, *connection.channel_errors)
    return (OperationalError, OSError, _BATCH_FAILED, *raised)


def fix_of(error: BaseException) -> str:
    """Say in words what to do about one of these errors, without what the broker has said."""
    causes = [type(one).__name__ for one in (error, error.__cause__) if one is not None]
    fix = next((_FIXES[name] for name in causes if name in _FIXES), _AWAY)
    return f"{fix} ({causes[-1]})"


class _Broker:
    """The client of one app, and the queues that it has declared."""

    def __init__(self, app: CeleryApp, *, patched: bool) -> None:
        self.app, self.client = app, connect(app)
        self._answers = answers_queue(app)
        self._writer = Writer(app, self.client, self._answers.name)
        self._declared = False
        self._by_redis = patched and is_redis(app)

    def send(self, messages: Sequence[TaskMessage]) -> None:
        """Send messages over one connection; to Redis in one round trip for each hundred."""
        with self.client.producer_pool.acquire(block=True) as producer:
            try:
                self._send(producer, messages)
            except AttributeError as error:
                # kombu uses a channel once more that it closed when its connection was lost
                if producer.channel.connection is not None:
                    raise
                raise OperationalError("the connection was lost") from error

    def _send(self, producer: Producer, messages: Sequence[TaskMessage]) -> None:
        written = [self._writer.write(message) for message in messages]
        if self._by_redis:
            from . import redis_sender  # 8 MB with Redis' own packages

            redis_sender.send(producer, written, None if self._declared else self._answers)
            self._declared = True
            return
        # the first shows whether the connection has been lost: it is sent over a new one then
        self._publish(producer, written[0], retry=True)
        if len(written) > 1:
            with producer.batch() if hasattr(producer, "batch") else nullcontext():
                for message in written[1:]:
                    self._publish(producer, message, retry=False)

    def _publish(self, producer: Producer, message: Written, *, retry: bool) -> None:
        producer.publish(
            message.body,
            exchange="",  # straight to the queue
            routing_key=message.queue,
            headers=message.headers,
            priority=message.priority,
            content_type=CONTENT_TYPE,
            content_encoding=CONTENT_ENCODING,
            delivery_mode=2,  # durable: the broker keeps it over a restart
            declare=[] if self._declared else [self._answers],
            confirm_timeout=_SOCKET_SECONDS,
            retry=retry,
            retry_policy={"max_retries": 1, "interval_start": 0},
            **message.properties,
        )
        self._declared = True

    def close(self) -> None:
        self.client.close()


class Unusable(Exception):
    """A broker's URL or options cannot be used; the message is the kind of error alone.

    The text of what kombu raises may hold a part of the URL, and so of its password.
    """


def connect_once(client: Celery) -> None:
    """Connect to a broker, and disconnect. Raises Unusable, or one of errors_of()."""
    try:
        with client.connection_for_write() as connection:
            connection.default_channel.close()
    except Exception as error:
        if _is_away(client, error):
            raise
        raise Unusable(type(error).__name__) from None


def _is_away(client: Celery, error: Exception) -> bool:
    try:
        return isinstance(error, errors_of(client))
    except Exception:  # of a URL without a transport: connect_once() says so
        return False


def _fix_of_broker(client: Celery, error: Exception) -> str | None:
    """Say what to do about a broker that took no tasks; None if the error is of the tasks."""
    if _is_away(client, error):
        return fix_of(error)
    try:
        connect_once(client)
    except Unusable as problem:
        return f"{UNUSABLE} ({problem})"
    except Exception as problem:
        return fix_of(problem)
    return None


class Brokers:
    """The brokers of this process, connected when they are first needed; safe across threads.

    `patched` lets them change kombu's channels, for speed only.
    """

    def __init__(self, *, patched: bool = True) -> None:
        self._patched = patched
        self._lock = threading.Lock()
        self._by_id: dict[str, _Broker] = {}

    def send(self, app: CeleryApp, messages: Sequence[TaskMessage]) -> None:
        """Send tasks. Raises BrokerAway; some of them may have been sent then."""
        broker = self._broker(app)
        try:
            broker.send(messages)
        except Exception as error:
            fix = _fix_of_broker(broker.client, error)
            if fix is None:
                raise
            raise BrokerAway(fix) from None  # its text may hold a part of the password

    def reachable(self, app: CeleryApp) -> bool:
        """Try to connect to an app's broker."""
        client = self._broker(app).client
        try:
            connect_once(client)
        except Exception as error:
            if isinstance(error, Unusable) or _is_away(client, error):
                return False
            raise
        return True

    def _broker(self, app: CeleryApp) -> _Broker:
        with self._lock:
            known = self._by_id.get(app.app_id)
            if known is not None and known.app == app:
                return known
            made = self._by_id[app.app_id] = _Broker(app, patched=self._patched)
        if known is not None:
            known.close()
        return made

    def close(self) -> None:
        """Disconnect from all."""
        with self._lock:
            brokers, self._by_id = list(self._by_id.values()), {}
        for broker in brokers:
            broker.close()
