"""The app that `celery -A inngest_py …` finds, made of the environment's settings."""

import logging
import os
from typing import Any

from celery.signals import celeryd_after_setup, celeryd_init, setup_logging
from gevent.monkey import is_module_patched

from .loading import without_collections

with without_collections():
    from . import logs, startup_messages
    from .config_reading import read
    from .domain.errors import Invalid
    from .tasks.app import create_celery
    from .tasks.kombu.gevent_patching import patch_early

if is_module_patched("socket"):  # celery worker -P gevent
    patch_early()

settings, _errors = read({}, os.environ)
_errors += settings.errors()
if _errors:
    startup_messages.exit_with_errors(settings, _errors)
logs.set_up(settings.log_level, as_json=settings.json_logs)
try:
    app = create_celery(settings)
except Invalid as error:
    startup_messages.exit_with_errors(settings, [error.message])


def refuse_to_work(**_signal: object) -> None:
    """End a worker before it starts if it has no key to sign with.

    Other commands, such as `flower` and `inspect`, need no keys.
    """
    if found := settings.missing_keys():
        startup_messages.exit_with_errors(settings, found)


def log_to(loglevel: int | None = None, logfile: str | None = None, **_signal: object) -> None:
    """Log as our settings say, to the file of Celery's `--logfile` if there is one.

    Celery calls this in a worker, and in each prefork child that has a log file of its own (`%i`).
    Its `--loglevel` applies to the log lines of other packages.
    """
    try:
        logs.set_up(settings.log_level, as_json=settings.json_logs, file=logfile)
    except OSError as error:
        text = f"the log file {logfile} cannot be opened: {error.strerror}"
        startup_messages.exit_with_errors(settings, [text])
    if loglevel:
        logging.getLogger().setLevel(loglevel)


def begin(instance: Any, **_signal: object) -> None:
    """Log warnings about the settings, and send what is printed to the log."""
    startup_messages.warn(settings, logged=True)
    if settings.json_logs:
        # it loads Celery's worker, which flower and inspect, which import this file, too, need not
        from .tasks.kombu.quiet import print_nothing

        print_nothing(instance)
    if instance.redirect_stdouts:  # Celery leaves this to the code that sets up logging
        instance.app.log.redirect_stdouts(instance.redirect_stdouts_level)


celeryd_init.connect(refuse_to_work)
setup_logging.connect(log_to)
celeryd_after_setup.connect(begin)
