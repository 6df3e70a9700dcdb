"""Why a Celery task waits: where it is, and what is wrong with its app's broker."""

from datetime import datetime

from sqlalchemy import Connection, RowMapping

from ...domain.reports import why_tasks as words
from ...domain.reports.why import Reason
from ...domain.runs.items import CELERY
from ...domain.steps import task_states
from ...domain.values import canonical
from ...storage.queries import celery_app_list


def sent(tx: Connection, item: RowMapping, label: str, now: datetime) -> Reason:
    """Say where the task of an item is that is leased to its Celery app."""
    app = celery_app_list.by_id(tx, item["worker"].removeprefix(CELERY))
    task = task_states.from_json(item["task"])
    if app is None or task is None:
        return words.app_gone(label, item["queued_at"])
    workers = canonical.loads(app["seen"] or "{}").get("workers", [])
    return words.sent(label, task, workers, app["error_detail"], now)


def not_sent(tx: Connection, app_id: str, item: RowMapping, label: str) -> Reason:
    """Say why a task waits for its app's broker."""
    app = celery_app_list.by_id(tx, app_id)
    if app is None:
        return words.app_gone(label, item["queued_at"])
    error = app["error_detail"] or "the broker could not be reached"
    return words.not_sent(label, error, item["queued_at"])
