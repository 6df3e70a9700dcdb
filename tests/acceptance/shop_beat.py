"""The shop with a beat schedule; only the command that imports it reads this module."""

from datetime import timedelta

from celery.schedules import crontab

from tests.acceptance.shop import app

app.conf.timezone = "Europe/Paris"
app.conf.beat_schedule = {
    "fast a": {"task": "shop.stamp", "schedule": 3, "args": ("a", "beat-a")},
    "fast b": {"task": "shop.stamp", "schedule": 3, "kwargs": {"value": "b", "key": "beat-b"}},
    "nightly": {
        "task": "shop.charge",
        "schedule": crontab(30, 4),
        "args": ("A1",),
        "options": {"queue": "slow", "priority": 3, "expires": timedelta(seconds=60)},
    },
    "missing": {"task": "shop.gone", "schedule": 3600.0},
    "cleanup": {"task": "celery.backend_cleanup", "schedule": crontab(0, 4)},
}
