"""The app that `celery -A inngest_py …` finds, made of the environment's settings."""

import os

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
