"""Functions that are Celery tasks: how a task is called, and how an event becomes its arguments."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from .. import cel
from ..errors import Invalid
from ..values.checks import kind

CANVAS = "celery.canvas"  # the function of an app whose runs are canvases
URL_SCHEME = "celery"
DEFAULT_QUEUE = "celery"
RETRY, FAIL = "retry", "fail"
MOST_LOST = 3
OWN_PREFIX = "celery."  # names of Celery's own tasks


@dataclass(frozen=True, slots=True)
class CeleryTask:
    """How a function's runs call the workers of a Celery app.

    `task` is the registered name, None for the function whose runs are canvases. `args` and
    `kwargs` are expressions in CEL over the run's event; None means that an event gives none.
    `queue` is where the task is sent, None for the queue of the app. `timeout` is how long it may
    run after its start. `on_lost` says what follows when it is lost: `retry`, MOST_LOST times at
    most, or `fail`.
    """

    task: str | None = None
    args: str | None = None
    kwargs: str | None = None
    queue: str | None = None
    timeout: timedelta = timedelta(hours=2)
    on_lost: str = RETRY


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_BROKERS = ("redis", "rediss", "sentinel", "amqp", "amqps", "pyamqp")  # kombu knows no valkey://


@dataclass(frozen=True, slots=True)
class AppSettings:
    """A Celery app as settings give it."""

    name: str
    broker_url: str = field(repr=False)  # may hold a password
    queue: str = DEFAULT_QUEUE


def parse_app(text: str) -> AppSettings:
    """Read NAME=BROKER_URL or NAME:QUEUE=BROKER_URL. Raises Invalid, without the URL."""
    left, _, url = text.partition("=")
    name, colon, queue = left.partition(":")
    made = AppSettings(name.strip(), url.strip(), queue.strip() if colon else DEFAULT_QUEUE)
    check_app(made)
    return made


def check_app(app: AppSettings) -> None:
    """Check the name, broker and queue of an app. Raises Invalid, which names the field."""
    if _NAME.fullmatch(app.name) is None:
        text = "must have 1 to 100 letters, digits, dots, hyphens or underscores"
        raise Invalid(f"name {text}", field="name")
    scheme, _, rest = app.broker_url.partition("://")
    hosts = app.broker_url.split(";")
    if scheme.partition("+")[0] not in _BROKERS or not rest or not all(map(_has_port, hosts)):
        raise Invalid(
            "broker_url must be the URL of Redis, Valkey or RabbitMQ, such as"
            " redis://host:6379/0 or amqp://user:password@host//",
            field="broker_url",
        )
    check_queue(app.queue)


def _has_port(url: str) -> bool:
    """Say whether the port of a URL is a number, or missing."""
    try:
        _ = urlsplit(url).port
    except ValueError:
        return False
    return True


def check_queue(queue: str) -> None:
    """Check the name of a queue. Raises Invalid."""
    if not queue or len(queue) > 255 or not queue.isprintable():
        raise Invalid("queue must be the name of a queue, such as celery", field="queue")


def url_of(app: str) -> str:
    """Make the URL that stands for a Celery app, in place of an SDK's."""
    return f"{URL_SCHEME}://{app}"


def without_password(broker_url: str) -> str:
    """Write a broker's URL as people may see it: without user, password and options."""
    scheme, _, rest = broker_url.partition("://")
    hosts = [part.rpartition("@")[2].partition("?")[0] for part in rest.split(";")]
    return f"{scheme}://{';'.join(hosts)}"


def signature(
    task: CeleryTask, event: Mapping[str, object], *, invoked: bool, now: datetime
) -> object:
    """Make the signature that a run executes, of its event.

    An invocation gives `data.signature`, or `data.args` and `data.kwargs`. For other events the
    expressions of the task give them. Raises Invalid, which names the field or the expression.
    """
    data = event.get("data")
    given: Mapping[str, object] = data if isinstance(data, dict) else {}
    if task.task is None or (invoked and "signature" in given):
        if "signature" not in given:
            raise Invalid("data.signature is missing: give the canvas", field="data.signature")
        return given["signature"]
    if invoked:
        args, kwargs = given.get("args"), given.get("kwargs")
    else:
        args = _evaluated("args", task.args, event, now)
        kwargs = _evaluated("kwargs", task.kwargs, event, now)
    if args is not None and not isinstance(args, list):
        raise Invalid(f"{_place('args', task, invoked)} must be a list, not {_kind(args)}")
    if kwargs is not None and not isinstance(kwargs, dict):
        raise Invalid(f"{_place('kwargs', task, invoked)} must be an object, not {_kind(kwargs)}")
    options = {} if task.queue is None else {"queue": task.queue}
    return {"task": task.task, "args": args or [], "kwargs": kwargs or {}, "options": options}


def _kind(value: object) -> str:
    """Name the type of a value; an expression over a field that is missing gives false."""
    lacks = "; the event may lack a field that it names" if value is False else ""
    return kind(value) + lacks


def _place(name: str, task: CeleryTask, invoked: bool) -> str:
    expression = task.args if name == "args" else task.kwargs
    return f"data.{name}" if invoked else f"the value of {name}, the expression {expression!r},"


def _evaluated(name: str, text: str | None, event: Mapping[str, object], now: datetime) -> object:
    if text is None:
        return None
    try:
        return cel.evaluate(text, {"event": event}, now)
    except (cel.CelError, Invalid) as error:
        raise Invalid(f"the expression of {name}, {text!r}, failed: {error}") from error
