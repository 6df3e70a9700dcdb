"""The Celery app: settings joined with celeryconfig.py, tasks, and the worker's own steps."""

from celery import Celery

from ..config import Settings
from ..engine.runtime.broker import Broker
from ..engine.runtime.hints import Hinter
from . import configuration
from .items import Runner, add_tasks
from .kombu import inproc
from .kombu.app_lines import LinePublisher
from .kombu.patches import add_patches
from .kombu.publishing import PlainPublisher
from .kombu.realtime_wire import BrokerWire
from .runtime import Runtime
from .worker.steps import add_steps


def create_celery(settings: Settings) -> Celery:
    """Build the app for settings.

    `app.runtime` gives its context, `app.hinter` sends hints, `app.lines` says which connected
    apps have waiting items, `app.broker` knows whether the
    broker is away, `app.runner` runs items.
    """
    inproc.register()
    app = Celery("inngest_py", set_as_current=False, fixups=[])
    app.config_from_object(configuration.find())
    # kombu warns about a URL without a host
    app.conf.broker_url = "inproc://localhost" if settings.embedded else settings.broker_url
    app.conf.broker_transport_options = (
        {} if settings.embedded else configuration.transport_options(app.conf, settings.broker_url)
    )
    if settings.embedded:  # no other process uses this broker, and a mailbox is polled every second
        app.conf.worker_enable_remote_control = False
    app.broker = Broker(lambda: _reach(app))
    publish = add_patches(app) if settings.celery_patches else PlainPublisher(app)
    app.hinter = Hinter(publish, app.broker)
    app.lines = Hinter(LinePublisher(app), app.broker)
    app.runtime = Runtime(
        settings, app.hinter, app.lines, lambda hub: BrokerWire(app, app.broker, hub)
    )
    app.runner = Runner(app.runtime)
    add_tasks(app, app.runner)
    add_steps(app)
    return app


def _reach(app: Celery) -> None:
    """Connect to one of the broker's addresses; raises what the transport raises."""
    with app.connection_for_write() as connection:
        others = len(connection.alt or ()) - 1
        connection.ensure_connection(max_retries=max(0, others), interval_start=0)
