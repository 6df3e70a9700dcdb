"""Takes the answers of a Celery app's workers: each is acknowledged after it is committed."""

import threading
import time
from collections.abc import Callable
from typing import Any

from kombu.connection import Connection
from kombu.message import Message
from kombu.messaging import Consumer
from kombu.mixins import ConsumerMixin
from sqlalchemy.exc import SQLAlchemyError

from ... import observe
from ...domain.errors import InngestPyError, Invalid
from ...domain.values import canonical
from ...engine.runtime.celery_apps import CeleryApp
from ...engine.runtime.context import Context
from ...engine.work.task_answers import TaskAnswer, apply_answers
from .brokers import DONE, FAILED, answers_queue, connect

_MOST_TOGETHER = 64
_PREFETCH = 256
_WAIT_SECONDS = 1.0
_REASON_SECONDS = 3.0  # how long the reason of a failure may take, which comes as an event
# of our own: kombu would give the app's own unacknowledged tasks back to it after this time
_REDELIVER_SECONDS = 30


def _redis_options(app: CeleryApp) -> dict[str, object]:
    """Keep our unacknowledged messages apart from those of the app's workers."""
    if not app.broker_url.startswith(("redis", "sentinel", "valkey")):
        return {}
    names = ("unacked_key", "unacked_index_key", "unacked_mutex_key")
    own = {name: f"inngest.{name}.{app.app_id}" for name in names}
    return own | {"visibility_timeout": _REDELIVER_SECONDS}


class Answers(ConsumerMixin):
    """One app's answers, read by one thread."""

    def __init__(self, app: CeleryApp, context: Callable[[], Context]) -> None:
        self.app, self._context = app, context
        self._client = connect(app, **_redis_options(app))
        self.connection: Connection = self._client.connection_for_read()
        self._got: list[tuple[Message, TaskAnswer]] = []
        self._postponed: list[tuple[float, Message, TaskAnswer]] = []
        self._thread = threading.Thread(target=self._run, name=f"answers-{app.name}", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; what is not acknowledged goes to another worker."""
        self.should_stop = True
        self._thread.join(timeout=2 * _WAIT_SECONDS)
        self._client.close()

    def _run(self) -> None:
        while not self.should_stop:
            try:
                self.run()
            except Exception as error:
                observe.event("celery.answers_failed", level=40, exc_info=error, app=self.app.name)
                time.sleep(_WAIT_SECONDS)

    def get_consumers(self, consumer: Any, channel: Any) -> list[Consumer]:
        """Read the queue of answers."""
        queue = answers_queue(self.app)
        return [
            consumer(
                queues=[queue],
                accept=["json"],
                on_message=self._take,
                prefetch_count=_PREFETCH,
            )
        ]

    def on_connection_error(self, error: Exception, interval: float) -> None:
        """Log that the broker is away; the mixin connects again."""
        observe.event("celery.away", level=30, app=self.app.name, error=type(error).__name__)
        self._got.clear()
        self._postponed.clear()

    def consume(
        self, limit: object = None, timeout: object = None, safety_interval: object = 1, **_: object
    ) -> Any:
        """Read what has come, apply it, acknowledge it, again and again."""
        with self.consumer_context() as (connection, _channel, _consumers):
            while not self.should_stop:
                self._drain(connection)
                self._apply()
                yield

    def _drain(self, connection: Connection) -> None:
        """Read until nothing more is there, or enough for one commit has come."""
        timeout = _WAIT_SECONDS if not self._postponed else 0.2
        try:
            while len(self._got) < _MOST_TOGETHER:
                connection.drain_events(timeout=timeout)
                timeout = 0.001
        except TimeoutError:
            return

    def _take(self, message: Message) -> None:
        answer = read_answer(self.app, message)
        if answer is None:
            message.reject()
            return
        self._got.append((message, answer))

    def _apply(self) -> None:
        now = time.monotonic()
        for deadline, message, answer in self._postponed:
            answer.reason_wanted = now < deadline
            self._got.append((message, answer))
        self._postponed = []
        got, self._got = self._got, []
        if not got:
            return
        try:
            later = apply_answers(self._context(), [answer for _, answer in got])
        except SQLAlchemyError as error:
            observe.event(
                "celery.answers_kept", level=30, app=self.app.name, error=type(error).__name__
            )
            self._got = got
            time.sleep(_WAIT_SECONDS)
            return
        waiting = {id(answer) for answer in later}
        for message, answer in got:
            if id(answer) in waiting:
                self._postponed.append((now + _REASON_SECONDS, message, answer))
            else:
                message.ack()


def read_answer(app: CeleryApp, message: Message) -> TaskAnswer | None:
    """Read an answer; None, with a log line, for a message of another kind.

    The result stays as kombu writes it, with its own form of times, decimals and bytes: the next
    task of a chain gets from it what the first returned.
    """
    name = message.headers.get("task")
    try:
        if message.content_type != "application/json":  # a pickled message is never read
            raise Invalid(f"its content type is {message.content_type!r}")
        body = canonical.loads(message.body)
        if name not in (DONE, FAILED) or not _is_call(body):
            raise Invalid(f"it is of task {str(name)[:100]!r}")
    except InngestPyError as error:
        observe.event("celery.strange_answer", level=30, app=app.name, error=error.message[:200])
        return None
    args, kwargs, _ = body
    value = args[0] if name == DONE else None
    return TaskAnswer(app, str(kwargs.get("token")), name == FAILED, value)


def _is_call(body: object) -> bool:
    """Say whether a body is that of a task: arguments, keyword arguments, and more."""
    if not isinstance(body, list) or len(body) != 3:
        return False
    return isinstance(body[0], list) and bool(body[0]) and isinstance(body[1], dict)
