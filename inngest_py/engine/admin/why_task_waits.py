"""Why a Celery task waits: where it is, and what is wrong with its app's broker."""

from datetime import datetime

from sqlalchemy import Connection, RowMapping

from ...domain.reports import celery_seen, task_spans
from ...domain.reports import why_tasks as words
from ...domain.reports.why import Reason
from ...domain.runs.items import CELERY
from ...domain.steps import task_states, tasks
from ...storage.queries import celery_app_list, timeline_rows


def sent(tx: Connection, item: RowMapping, label: str, now: datetime) -> Reason:
    """Say where the task of an item is that is leased to its Celery app."""
    app = celery_app_list.by_id(tx, item["worker"].removeprefix(CELERY))
    task = task_states.from_json(item["task"])
    if app is None or task is None:
        return words.app_gone(label, item["queued_at"])
    name = tasks.task_id(item["id"], item["attempt"])
    executions = timeline_rows.executions_of_tasks(tx, {item["run_id"]: [name]}).get(name, ())
    told = task_spans.of_sent(name, executions, task)
    known = words.App(celery_seen.from_json(app["seen"]), app["seen_at"], app["error_detail"])
    return words.sent(label, task, told, known, now)


def not_sent(tx: Connection, app_id: str, item: RowMapping, label: str) -> Reason:
    """Say why a task waits for its app's broker."""
    app = celery_app_list.by_id(tx, app_id)
    if app is None:
        return words.app_gone(label, item["queued_at"])
    error = app["error_detail"] or "the broker could not be reached"
    return words.not_sent(label, error, item["queued_at"])
