"""Tasks as messages: what Celery's workers read, written without kombu's own JSON.

kombu writes JSON with Python's encoder, five times slower. It is left for what only that can write.

Written against Celery 5.7 and kombu 5.7, in which an exchange without a name leads to a queue.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from celery import Celery
from celery.utils.nodenames import anon_nodename
from celery.utils.saferepr import saferepr
from kombu import serialization

from ...domain.errors import Invalid
from ...domain.values import canonical
from ...engine.runtime.celery_apps import CeleryApp, TaskMessage

DONE, FAILED = "inngest.celery.done", "inngest.celery.failed"
CONTENT_TYPE, CONTENT_ENCODING = "application/json", "utf-8"
# options of a signature that are fields of its message; `countdown` and `eta` are rows here
_MESSAGE_OPTIONS = ("expires", "time_limit", "soft_time_limit", "shadow", "ignore_result")
_MOST_SHOWN, _MOST_SHOWN_CHARS = 16, 40
# How an app's worker sends an answer: by the default exchange, straight into our queue. Over an
# exchange of ours, kombu would ask Redis for its queues each time. Celery takes the app's own queue
# instead of the routing key, unless the type of the exchange is another than direct; a queue's name
# among the options is refused with `task_create_missing_queues` off. The texts that describe an
# answer's arguments are read by nobody. Together: 0.55 ms of CPU a task in the app's worker, of 5.
_ANSWER_OPTIONS: dict[str, object] = {
    "exchange": "",
    "exchange_type": "topic",
    "serializer": "json",
    "argsrepr": "",
    "kwargsrepr": "",
}


class Written(NamedTuple):
    """A message as it is sent: its body is JSON, `properties` are those of AMQP."""

    body: str
    headers: dict[str, object]
    properties: dict[str, object]
    queue: str
    priority: object


class Writer:
    """Writes the messages of one app, whose answers come back in a queue."""

    def __init__(self, app: CeleryApp, client: Celery, answers: str) -> None:
        self._queue, self._amqp = app.queue, client.amqp
        self._origin = anon_nodename()
        self._repr_bytes: int = client.amqp.argsrepr_maxsize
        self._callback: dict[str, object] = {
            "args": [],
            "options": {**_ANSWER_OPTIONS, "routing_key": answers},
            "subtask_type": None,
            "immutable": False,
        }

    def write(self, message: TaskMessage) -> Written:
        """Write a task's message. Raises kombu's EncodeError for what JSON cannot hold."""
        options = message.options
        callback = {**self._callback, "kwargs": {"token": message.token}}
        made = self._amqp.create_task_message(
            message.task_id,
            message.name,
            message.args,
            message.kwargs,
            callbacks=[{**callback, "task": DONE}],
            errbacks=[{**callback, "task": FAILED}],
            root_id=message.root_id,
            origin=self._origin,
            # else Celery looks up twice in its settings how deep to go: half the time of this call
            argsrepr=shown(message.args, self._repr_bytes),
            kwargsrepr=shown(message.kwargs, self._repr_bytes),
            **{name: options[name] for name in _MESSAGE_OPTIONS if options.get(name) is not None},
        )
        return Written(
            json_of(made.body),
            _headers(options, made.headers),
            made.properties,
            str(options.get("queue") or self._queue),
            options.get("priority") or 0,
        )


def json_of(value: object) -> str:
    """Write JSON as kombu does. Raises kombu's EncodeError."""
    try:
        return canonical.dumps_exact(value)
    except Invalid:
        return str(serialization.dumps(value, serializer="json")[2])


def shown(value: Sequence[object] | Mapping[str, object], most: int) -> str:
    """Describe arguments as Celery's saferepr() does, which takes 15 µs for the shortest list."""
    if not value:
        return "{}" if isinstance(value, Mapping) else "[]"
    if isinstance(value, list) and len(value) <= _MOST_SHOWN and all(map(_is_short, value)):
        return f"[{', '.join(map(_shown, value))}]"
    return str(saferepr(value, most))


def _shown(value: object) -> str:
    return f"'{value}'" if type(value) is str else repr(value)


def _is_short(value: object) -> bool:
    """Say whether a value is shown as it is, without a cut or an escape."""
    if type(value) is str:
        return len(value) <= _MOST_SHOWN_CHARS and "'" not in value
    return value is None or type(value) in (bool, int, float)


def _headers(options: dict[str, object], celerys: dict[str, object]) -> dict[str, object]:
    """Add a signature's own headers and stamps to those of Celery, which they cannot change."""
    own, stamped = options.get("headers"), options.get("stamped_headers")
    found = {**own, **celerys} if isinstance(own, dict) else celerys
    if isinstance(stamped, list):
        stamps = {name: options[name] for name in stamped if name in options}
        found = {**found, "stamped_headers": list(stamps), "stamps": stamps}
    return found
