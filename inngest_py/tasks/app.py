"""The Celery app: settings joined with celeryconfig.py, tasks, the worker's services."""

import importlib
import importlib.util
from typing import Any

from celery import Celery

from ..config import Settings
from ..engine.broker import Broker
from ..engine.hints import Hinter
from . import celeryconfig as packaged
from . import inproc, redis
from .consuming import CONSUMER
from .gathering import gather_events
from .items import Runner, add_tasks
from .publishing import Publisher
from .runtime import Runtime
from .steps import add_steps


def create_celery(settings: Settings) -> Celery:
    """Build the app for settings.

    `app.runtime` holds its context, `app.hinter` its hints, `app.broker` what is known of the
    broker, `app.runner` what runs items.
    """
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
    app.conf.worker_consumer = CONSUMER
    app.broker = Broker(lambda: _reach(app))
    app.hinter = Hinter(Publisher(app), app.broker)
    app.runtime = Runtime(settings, app.hinter)
    app.runner = Runner(app.runtime)
    add_tasks(app, app.runner)
    add_steps(app, app.runtime)
    gather_events(app)
    return app


def _reach(app: Celery) -> None:
    """Connect to the broker, to any of its addresses; raises what the transport raises."""
    with app.connection_for_write() as connection:
        others = len(connection.alt or ()) - 1
        connection.ensure_connection(max_retries=max(0, others), interval_start=0)


def _config() -> Any:
    """Find celeryconfig.py on the path, else take the packaged one."""
    if importlib.util.find_spec("celeryconfig") is not None:
        return importlib.import_module("celeryconfig")
    return packaged
