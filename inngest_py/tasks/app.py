"""The Celery app: settings joined with celeryconfig.py, tasks, the worker's services."""

from celery import Celery

from ..config import Settings
from ..engine.runtime.broker import Broker
from ..engine.runtime.hints import Hinter
from . import configuration
from .items import Runner, add_tasks
from .kombu import inproc, redis
from .kombu.consuming import CONSUMER
from .kombu.gathering import gather_events
from .kombu.publishing import Publisher
from .runtime import Runtime
from .worker.steps import add_steps


def create_celery(settings: Settings) -> Celery:
    """Build the app for settings.

    `app.runtime` holds its context, `app.hinter` its hints, `app.broker` what is known of the
    broker, `app.runner` what runs items.
    """
    inproc.register()
    redis.register()
    app = Celery("inngest_py", set_as_current=False, fixups=[])
    app.config_from_object(configuration.find())
    # kombu warns about a URL without a host
    app.conf.broker_url = "inproc://localhost" if settings.embedded else settings.broker_url
    app.conf.broker_transport_options = (
        {} if settings.embedded else configuration.transport_options(app.conf, settings.broker_url)
    )
    if settings.embedded:  # nobody else is on that broker, and a mailbox is looked at every second
        app.conf.worker_enable_remote_control = False
    app.conf.worker_consumer = CONSUMER
    app.broker = Broker(lambda: _reach(app))
    app.hinter = Hinter(Publisher(app), app.broker)
    app.runtime = Runtime(settings, app.hinter)
    app.runner = Runner(app.runtime)
    add_tasks(app, app.runner)
    add_steps(app)
    gather_events(app)
    return app


def _reach(app: Celery) -> None:
    """Connect to the broker, to any of its addresses; raises what the transport raises."""
    with app.connection_for_write() as connection:
        others = len(connection.alt or ()) - 1
        connection.ensure_connection(max_retries=max(0, others), interval_start=0)
