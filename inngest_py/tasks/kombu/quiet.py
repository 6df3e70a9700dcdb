"""A worker that writes JSON logs prints nothing beside them.

Lines of plain text would break whoever reads the log as JSON, so `INNGEST_CELERY_PATCHES` does not
turn this off.

Written against Celery 5.7: a worker prints its banner unless it is `quiet`, and prints its shutdown
("worker: Warm shutdown") by `safe_say()` to the terminal, not to the log.
"""

from typing import Any

from celery.apps import worker as worker_program


def print_nothing(worker: Any) -> None:
    """Let a worker print neither its banner nor its shutdown."""
    worker.quiet = True
    worker_program.safe_say = _say_nothing


def _say_nothing(*_words: object) -> None:
    pass
