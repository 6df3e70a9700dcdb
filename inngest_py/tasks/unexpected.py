"""Exceptions that nothing else catches: of threads, and of Celery's tasks."""

import threading
from typing import Any

from celery.signals import task_failure

from .. import observe
from ..storage.db.outages import logged, outage


def log_and_count() -> None:
    """Log what ends a thread of this process, and count it and tasks that fail.

    Without this, Python writes a thread's traceback to standard error, as no line of the log.
    """
    threading.excepthook = _on_thread
    task_failure.connect(_on_task, weak=False, dispatch_uid=__name__)


def _on_thread(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_value is None or isinstance(ended.exc_value, SystemExit):
        return
    name = None if ended.thread is None else ended.thread.name
    observe.event("thread.failed", level=50, thread=name, **logged(ended.exc_value))


def _on_task(exception: BaseException | None = None, **_: Any) -> None:
    """Count a failed task; Celery logs it."""
    if not outage(exception):
        observe.count_unexpected("task.failed")
