"""The Celery app: settings joined with celeryconfig.py, tasks, the worker's services."""

import importlib
import importlib.util
from typing import Any

from celery import Celery

from ..config import Settings
from ..engine.hints import Hinter
from . import celeryconfig as packaged
from . import inproc, redis
from .gathering import gather_events
from .items import add_tasks
from .publishing import Publisher
from .runtime import Runtime
from .steps import add_steps


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
    hinter = Hinter(Publisher(app))
    runtime = Runtime(settings, hinter)
    add_tasks(app, runtime)
    add_steps(app, runtime)
    gather_events(app)
    app.runtime, app.hinter = runtime, hinter
    return app


def _config() -> Any:
    """Find celeryconfig.py on the path, else take the packaged one."""
    if importlib.util.find_spec("celeryconfig") is not None:
        return importlib.import_module("celeryconfig")
    return packaged
