"""The app that `celery -A inngest_py …` finds, made of the environment's settings."""

import os
from typing import Any

from celery.signals import celeryd_init
from gevent.monkey import is_module_patched

from . import logs
from .config import load
from .tasks.app import create_celery

if is_module_patched("socket"):  # celery worker -P gevent
    from psycogreen.gevent import patch_psycopg

    patch_psycopg()

settings = load({}, os.environ)
logs.set_up(settings.log_level, as_json=settings.json_logs)
app = create_celery(settings)


def refuse_to_work(**_signal: Any) -> None:
    """End a worker before it starts when its settings are bad or it could not sign.

    Other commands, such as `flower` and `inspect`, do without keys.
    """
    found = settings.errors() + settings.missing_keys()
    if found:
        raise SystemExit("\n".join(f"error: {text}" for text in found))


celeryd_init.connect(refuse_to_work)
