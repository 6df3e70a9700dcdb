"""Why a Celery task waits: texts for people, with fields for programs (see why.py)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..steps.task_states import SentTask
from .celery_seen import Seen, SeenWorker
from .timeline import SpanTask
from .why import Reason, stamp

_OLD = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class App:
    """What is known of a Celery app: what its watcher saw, when, and what is wrong with it."""

    seen: Seen
    seen_at: datetime | None
    error: str | None

    def alive(self) -> list[SeenWorker]:
        """List the workers that were heard of when the app was last looked at."""
        return [] if self.seen_at is None else self.seen.alive(self.seen_at)


def sent(label: str, task: SentTask, told: SpanTask, app: App, now: datetime) -> Reason:
    """Say where a task is that a Celery app has got; `told` is what its workers said of it."""
    alive, started = app.alive(), told.started_at
    until = None if started is None else started + task.limit
    details = {
        "step": label,
        "task": told.id,
        "queue": task.queue,
        "sent": task.sent,
        "worker": told.host,
        "started": started,
        "workers": [one.host for one in alive],
        "busy": [one.host for one in alive if one.is_busy],
        "messages": app.seen.messages(task.queue),
        "error": app.error,
    }
    text = f"The task of {label} was sent to queue {task.queue} {_ago(task.sent, now)} ago"
    text += f"; {_place(task, told, app, until, now)}."
    if app.error is not None:
        text += f" What is said of its workers may be old: {app.error}."
    elif app.seen_at is not None and now - app.seen_at > _OLD:
        text += f" Its workers were last looked at {_ago(app.seen_at, now)} ago: none of ours does."
    return Reason("celery", text, task.sent, until, details)


def _ago(since: datetime, now: datetime) -> str:
    seconds = max(0, round((now - since).total_seconds()))
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


def _place(task: SentTask, told: SpanTask, app: App, until: datetime | None, now: datetime) -> str:
    """Say which worker of the app has a task, or why none has."""
    if told.host is None:
        return _queue(task, app)
    did = "runs" if told.started_at is not None else "holds"
    silent = next((one for one in app.seen.workers if one.host == told.host), None)
    if silent is not None and silent not in app.alive():
        gone = f"worker {told.host}, which {did} it, has not been heard of for"
        return f"{gone} {_ago(silent.heard, now)}: it counts as lost after half a minute"
    missed = ", but did not name it when it was asked last" if task.missed else ""
    if told.started_at is not None:
        ends = f", until {stamp(until)} at the latest" if until is not None else ""
        return f"worker {told.host} runs it since {stamp(told.started_at)}{ends}{missed}"
    return f"worker {told.host} holds it until a process of its own is free{missed}"


def _queue(task: SentTask, app: App) -> str:
    """Say what a task waits for that is in the broker, as far as is known."""
    alive = app.alive()
    if not alive:
        return f"no worker of the app answers: start one{_before(task, app)}"
    readers = [one for one in alive if not one.queues or task.queue in one.queues]
    if not readers:
        those = (
            "its worker does not read"
            if len(alive) == 1
            else f"none of its {len(alive)} workers reads"
        )
        return f"{those} this queue: start one by celery worker -Q {task.queue}{_before(task, app)}"
    number = "1 worker" if len(readers) == 1 else f"{len(readers)} workers"
    return f"{number}, {_busy(readers)}{_before(task, app)}"


def _busy(workers: Sequence[SeenWorker]) -> str:
    busy = sum(one.is_busy for one in workers)
    if busy == len(workers):
        return {1: "busy", 2: "both busy"}.get(busy, "all busy")
    if len(workers) == 1:
        return "not busy when it was asked last"
    return f"{busy} of them busy" if busy else "none of them busy when they were asked last"


def _before(task: SentTask, app: App) -> str:
    """Count the messages of the queue, of which the task itself is one."""
    messages = app.seen.messages(task.queue)
    if messages is None:
        return ""
    if messages == 0:
        return "; the queue was empty at the last look"
    if messages == 1:
        return "; no message before it"
    return f"; at most {messages - 1} message{'s' if messages > 2 else ''} before it"


def app_gone(label: str, since: datetime) -> Reason:
    """Say that the Celery app that has a task is not connected any more."""
    text = f"The Celery app of {label} was removed: add it again, or cancel the run."
    return Reason("celery", text, since, None, {"step": label})


def not_sent(label: str, error: str, since: datetime) -> Reason:
    """Say that a task cannot be sent now."""
    text = f"The task of {label} cannot be sent: {error}. The broker is tried every few seconds."
    return Reason("celery", text, since, None, {"step": label, "error": error})
