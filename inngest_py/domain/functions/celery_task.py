"""Functions that are Celery tasks: how a task is called, and the settings of their apps."""

import re
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import urlsplit

from ..errors import Invalid

CANVAS = "celery.canvas"  # the function of an app whose runs are canvases
URL_SCHEME = "celery"
DEFAULT_QUEUE = "celery"
RETRY, FAIL = "retry", "fail"
MOST_LOST = 3
OWN_PREFIX = "celery."  # names of Celery's own tasks


@dataclass(frozen=True, slots=True)
class CeleryTask:
    """How a function's runs call the workers of a Celery app.

    `task` is the registered name, None for the function whose runs are canvases; with `workflow`
    it is the name of a workflow, whose entries are stored beside. `args` and
    `kwargs` are expressions in CEL over the run's event, or over `events` if the function batches
    them; None means that an event gives none.
    `queue` is where the task is sent, None for the queue of the app. `timeout` is how long it may
    run after its start. `on_lost` says what follows when it is lost: `retry`, MOST_LOST times at
    most, or `fail`. With `terminate` a task that runs is killed when its run is cancelled or its
    time is over, else only one that waits is dropped. `own` and `declared` are the settings as they
    were written by hand and in the config file, as JSON (task_settings.py).
    """

    task: str | None = None
    args: str | None = None
    kwargs: str | None = None
    queue: str | None = None
    timeout: timedelta = timedelta(hours=2)
    on_lost: str = RETRY
    workflow: bool = False
    terminate: bool = False
    own: str | None = None
    declared: str | None = None


_MOST_NAME = 255
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_REDIS = ("redis", "rediss", "sentinel")
_DATABASE = re.compile(r"/{0,2}|/\d{1,9}")
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
    if any("@" in host and "://" not in host for host in hosts):  # half of it would be shown
        text = "has a ; that begins no other URL: write one in a password as %3B"
        raise Invalid(f"broker_url {text}", field="broker_url")
    if scheme in _REDIS and not _DATABASE.fullmatch(urlsplit(hosts[0]).path):
        text = "must end with the number of a database of Redis, such as redis://host:6379/0"
        raise Invalid(f"broker_url {text}", field="broker_url")
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
    # AMQP writes its length into one byte
    if not queue or not queue.isprintable() or len(queue.encode()) > 255:
        text = "queue must be the name of a queue, of up to 255 bytes, such as celery"
        raise Invalid(text, field="queue")


def check_task(name: str, path: str = "task") -> None:
    """Check the name of a task. Raises Invalid, whose field is the path."""
    if not name.strip() or len(name) > _MOST_NAME or not name.isprintable():
        text = f"must be named as its workers know it, with up to {_MOST_NAME} characters"
        raise Invalid(f"{path} {text}, such as shop.tasks.charge", field=path)
    if name.startswith(OWN_PREFIX) and name != CANVAS:
        raise Invalid(f"{path} is one of Celery's own tasks: name one of the app", field=path)


def url_of(app: str) -> str:
    """Make the URL that stands for a Celery app, in place of an SDK's."""
    return f"{URL_SCHEME}://{app}"


def without_password(broker_url: str) -> str:
    """Write a broker's URL as people may see it: without user, password and options."""
    scheme, _, rest = broker_url.partition("://")
    hosts = [part.rpartition("@")[2].partition("?")[0] for part in rest.split(";")]
    return f"{scheme}://{';'.join(hosts)}"
