"""Takes the answers of a Celery app's workers: each is acknowledged after it is committed."""

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kombu.message import Message

from ... import observe
from ...domain.errors import InngestPyError, Invalid
from ...domain.values import canonical
from ...engine.runtime.celery_apps import CeleryApp
from ...engine.runtime.context import Context
from ...engine.work.celery_tasks.task_answers import TaskAnswer, apply_answers
from ...storage.db.outages import logged, outage, reason
from .brokers import (
    UNUSABLE,
    Unusable,
    answers_queue,
    connect,
    connect_once,
    errors_of,
    fix_of,
    is_redis,
)
from .consumer_reader import consumer_reader
from .deliveries import MOST_TOGETHER, Delivery
from .redis_reader import redis_reader
from .task_messages import DONE, FAILED

_WAIT_SECONDS = 1.0
_REASON_SECONDS = 3.0  # how long the reason of a failure may take, which comes as an event


@dataclass(slots=True)
class _Taken:
    """An answer as it was delivered; until `deadline` it waits for the reason of a failure."""

    delivery: Delivery
    answer: TaskAnswer
    deadline: float


class Answers:
    """One app's answers, read by one thread."""

    def __init__(self, app: CeleryApp, context: Callable[[], Context]) -> None:
        self.app, self._context = app, context
        self._client = connect(app)
        self._errors = errors_of(self._client)  # raises for a URL that kombu cannot use
        self._stop = threading.Event()
        self._away = False
        self._got: list[_Taken] = []
        self._postponed: list[_Taken] = []
        self._thread = threading.Thread(target=self._run, name=f"answers-{app.name}", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; what is not acknowledged goes to another worker."""
        self._stop.set()
        self._thread.join(timeout=2 * _WAIT_SECONDS)
        self._client.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._read()
            except self._errors as error:
                self._say_away(fix_of(error))
            except Unusable as error:
                self._say_away(f"{UNUSABLE} ({error})")
            except Exception as error:
                observe.event("celery.answers_failed", level=40, exc_info=error, app=self.app.name)
            self._stop.wait(_WAIT_SECONDS)

    def _say_away(self, fix: str) -> None:
        """Log that the broker is away, once per outage."""
        if not self._away and not self._stop.is_set():
            observe.event("celery.away", level=30, app=self.app.name, error=fix)
        self._away = True

    def _read(self) -> None:
        """Read what has come, apply it, acknowledge it, again and again, over one connection."""
        # what came over a connection that was lost comes again: it cannot be acknowledged any more
        self._got, self._postponed = [], []
        connect_once(self._client)
        open_reader = redis_reader if is_redis(self.app) else consumer_reader
        with open_reader(self._client, answers_queue(self.app)) as reader:
            self._away = False
            while not self._stop.is_set():
                if len(self._got) < MOST_TOGETHER:
                    wait = _WAIT_SECONDS if not self._postponed else 0.2
                    self._take(reader.read(wait))
                self._apply()

    def _take(self, deliveries: Sequence[Delivery]) -> None:
        for one in deliveries:
            answer = read_answer(self.app, one.message)
            if answer is None:
                one.settle()
                continue
            self._got.append(_Taken(one, answer, time.monotonic() + _REASON_SECONDS))

    def _apply(self) -> None:
        now = time.monotonic()
        for one in self._postponed:
            one.answer.reason_wanted = now < one.deadline
        got = [*self._got, *self._postponed]
        self._got, self._postponed = [], []
        if not got or self._settle(got):
            return
        for one in got:  # each alone will say which it is
            if not self._settle([one]):
                one.delivery.settle()  # its task will count as lost

    def _settle(self, got: list[_Taken]) -> bool:
        """Apply answers and acknowledge them; False if an error came that nobody foresaw."""
        try:
            later = apply_answers(self._context(), [one.answer for one in got])
        except Exception as error:
            if not outage(error):
                observe.event("celery.answer_failed", level=40, app=self.app.name, **logged(error))
                return False
            observe.event("celery.answers_kept", level=30, app=self.app.name, error=reason(error))
            self._got += got
            self._stop.wait(_WAIT_SECONDS)
            return True
        waiting = {id(answer) for answer in later}
        for one in got:
            if id(one.answer) in waiting:
                self._postponed.append(one)
            else:
                one.delivery.settle()
        return True


def read_answer(app: CeleryApp, message: Message) -> TaskAnswer | None:
    """Read an answer; None, with a log line, for a message of another kind.

    The result stays as kombu writes it, with its own form of times, decimals and bytes: the next
    task of a chain gets from it what the first returned. A result that cannot be stored is an
    answer all the same: without one, its task would count as lost and run again.
    """
    try:
        if message.content_type != "application/json":  # a pickled message is never read
            raise Invalid(f"its content type is {message.content_type!r}")
        body, problem = _body(message)
        name, args, kwargs = _call(message, body)
        if name not in (DONE, FAILED) or not isinstance(args, list) or not args:
            raise Invalid(f"it is of task {str(name)[:100]!r}")
    except InngestPyError as error:
        observe.event("celery.strange_answer", level=30, app=app.name, error=error.message[:200])
        return None
    token = str(kwargs.get("token") if isinstance(kwargs, dict) else None)
    if name == FAILED:
        origin = str(message.headers.get("origin") or "")
        return TaskAnswer(app, token, failed=True, origin=origin)
    value = args[0] if problem is None else None
    return TaskAnswer(app, token, failed=False, value=value, unreadable=problem)


def _body(message: Message) -> tuple[object, str | None]:
    """Read a body, and say what is wrong if only Python's own reader can read it.

    Python writes NaN, infinities, integers of any size and deep nesting, which are not stored.
    """
    try:
        body = canonical.loads(message.body)
        canonical.check_integers(message.body)
        return body, None
    except Invalid as error:
        try:
            return json.loads(message.body), error.message
        except (ValueError, RecursionError):
            raise error from None


def _call(message: Message, body: object) -> tuple[object, object, object]:
    """Return the task that a message calls, its arguments and its keyword arguments."""
    if isinstance(body, list) and len(body) == 3:
        return message.headers.get("task"), body[0], body[1]
    if isinstance(body, dict):  # of a worker with `task_protocol` 1
        return body.get("task"), body.get("args"), body.get("kwargs")
    return None, None, None
