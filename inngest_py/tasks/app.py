"""The Celery app: settings joined with celeryconfig.py, tasks, the worker's services."""

import importlib
import importlib.util
from typing import Any

from celery import Celery

from ..config import Settings
from ..domain.items import ItemKind
from ..engine.hints import Hinter
from . import celeryconfig as packaged
from . import inproc, redis
from .items import add_tasks, task_name
from .runtime import Runtime
from .steps import add_steps

_SHOWN = 3  # ids of a task's arguments in Flower
_END = 8  # characters of each: a ULID begins with its time, which its neighbours share


def create_celery(settings: Settings) -> Celery:
    """Build the app for settings; `app.runtime` holds its context, `app.hinter` its hints."""
    inproc.register()
    redis.register()
    app = Celery("inngest_py", set_as_current=False, fixups=[])
    app.config_from_object(_config())
    # kombu warns about a URL without a host
    app.conf.broker_url = "inproc://localhost" if settings.embedded else settings.broker_url
    if settings.embedded or "redis" not in settings.broker_url:
        # the options in celeryconfig.py are Redis's; other transports refuse some of them
        app.conf.broker_transport_options = {}
    # nobody else is on that broker, and a mailbox is looked at every second
    app.conf.worker_enable_remote_control = not settings.embedded
    hinter = Hinter(_publisher(app))
    runtime = Runtime(settings, hinter)
    add_tasks(app, runtime)
    add_steps(app, runtime)
    app.runtime, app.hinter = runtime, hinter
    return app


def _config() -> Any:
    """Find celeryconfig.py on the path, else take the packaged one."""
    if importlib.util.find_spec("celeryconfig") is not None:
        return importlib.import_module("celeryconfig")
    return packaged


def _publisher(app: Celery) -> Any:
    def publish(kind: ItemKind, item_ids: list[str]) -> None:
        app.send_task(
            task_name(kind),
            args=[item_ids],
            argsrepr=shown(kind, item_ids),
            kwargsrepr="",
            ignore_result=True,
        )

    return publish


def shown(kind: ItemKind, item_ids: list[str]) -> str:
    """Word a task's arguments for Flower: the kind, and the ends of the first ids."""
    ends = " ".join(f"…{item_id[-_END:]}" for item_id in item_ids[:_SHOWN])
    more = len(item_ids) - _SHOWN
    return f"{kind.value} {ends} +{more}" if more > 0 else f"{kind.value} {ends}"
