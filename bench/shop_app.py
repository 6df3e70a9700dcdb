"""The Celery app under measurement, which knows nothing of this server."""

import os

from celery import Celery

app = Celery(
    "shop",
    broker=os.environ.get("BENCH_BROKER", "memory://"),
    backend=os.environ.get("BENCH_BACKEND"),
    set_as_current=False,
)


@app.task(name="shop.noop", shared=False)
def noop(value: object = None) -> object:
    """Give back what came."""
    return value
