"""`worker`: a Celery worker on gevent; `celery -A inngest_py worker` lets you choose the pool."""

import os
import sys

import click

from ..config_reading import to_environment
from . import options


@click.command()
@options.mode
@options.shared
@click.option("--name", default="worker", help="The worker's name in Flower.")
def worker(name: str, **flags: object) -> None:
    """Run one worker, with upkeep."""
    settings = options.settings_of(flags, keys=True)
    os.environ.update(to_environment(settings))
    command = [sys.executable, "-m", "celery", "-A", "inngest_py", "worker", "-P", "gevent"]
    command += ["-c", str(settings.concurrency), "-n", f"{name}@%h"]
    os.execv(sys.executable, command)  # noqa: S606 - becomes the Celery worker
