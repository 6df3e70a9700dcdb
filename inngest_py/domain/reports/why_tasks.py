"""Why a Celery task waits: texts for people, with fields for programs (see why.py)."""

from collections.abc import Sequence
from datetime import datetime

from ..steps.task_states import SentTask
from .why import Reason, stamp


def sent(
    label: str, task: SentTask, workers: Sequence[str], error: str | None, now: datetime
) -> Reason:
    """Say where a task is that a Celery app has got.

    `workers` are those of the app that answered last; `error` is what is wrong with its broker.
    """
    details = {
        "step": label,
        "queue": task.queue,
        "sent": task.sent,
        "worker": task.host,
        "started": task.started,
        "workers": list(workers),
        "error": error,
    }
    ago = max(0, round((now - task.sent).total_seconds()))
    text = f"The task of {label} was sent to queue {task.queue} {ago} s ago"
    text += f"; {_place(task, workers)}."
    if error is not None:
        text += f" What is said of its worker may be old: {error}."
    return Reason("celery", text, task.sent, task.ends_at, details)


def _place(task: SentTask, workers: Sequence[str]) -> str:
    """Say which worker of the app has a task, or that none has."""
    missed = ", but did not name it when it was asked last" if task.missed else ""
    if task.host is not None and task.started is not None:
        ends = f", until {stamp(task.ends_at)} at the latest" if task.ends_at else ""
        return f"worker {task.host} runs it since {stamp(task.started)}{ends}{missed}"
    if task.host is not None:
        return f"worker {task.host} holds it until a process of its own is free{missed}"
    if not workers:
        return "no worker has taken it yet, and none of the app has answered: start one"
    known = "1 worker" if len(workers) == 1 else f"{len(workers)} workers"
    return f"no worker was seen with it yet, {known} of the app answered last"


def app_gone(label: str, since: datetime) -> Reason:
    """Say that the Celery app that has a task is not connected any more."""
    text = f"The Celery app of {label} was removed: add it again, or cancel the run."
    return Reason("celery", text, since, None, {"step": label})


def not_sent(label: str, error: str, since: datetime) -> Reason:
    """Say that a task cannot be sent now."""
    text = f"The task of {label} cannot be sent: {error}. The broker is tried every few seconds."
    return Reason("celery", text, since, None, {"step": label, "error": error})
