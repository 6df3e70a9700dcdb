"""The app that `celery -A inngest_py …` finds, made of the environment's settings."""

import os

from . import logs
from .config import load
from .tasks.app import create_celery

settings = load({}, os.environ)
logs.set_up(settings.log_level, as_json=settings.json_logs)
app = create_celery(settings)
