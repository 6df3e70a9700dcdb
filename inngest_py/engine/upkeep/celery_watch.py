"""What the watcher of a Celery app stores: one process at a time watches each app."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from ...domain.reports import celery_seen
from ...domain.reports.celery_seen import Workers
from ...domain.steps.task_executions import Execution
from ...domain.values import canonical
from ...domain.values.json_types import JsonObject
from ...storage.catalog import celery_apps as rows
from ...storage.db.row_types import RowValues
from ...storage.queries import celery_app_list
from ...storage.queue import sent_tasks, task_executions
from ..apps import celery_apps, unseen_tasks
from ..runtime.context import Context

_LEASE = timedelta(seconds=15)
_MOST_REVOKED = 1000


def is_watcher(ctx: Context, app_id: str) -> bool:
    """Make this process the app's watcher for a time, unless another is; say whether it is."""
    now = ctx.now()
    with ctx.db.transaction() as tx:
        return rows.watch(tx, app_id, ctx.worker_id, now, now + _LEASE)


def end_watch(ctx: Context, app_id: str) -> None:
    """Let another process watch the app at once: until one does, nobody hears why tasks fail."""
    with ctx.db.transaction() as tx:
        rows.unwatch(tx, app_id, ctx.worker_id)


def is_refresh_wanted(ctx: Context, app_id: str) -> bool:
    """Say whether somebody wants the app's workers to be asked for their tasks now."""
    with ctx.db.reading() as tx:
        row = celery_app_list.by_id(tx, app_id)
    return row is not None and row["refresh_wanted_at"] is not None


def end_refresh(ctx: Context, app_id: str, asked_at: datetime) -> None:
    """Note that the workers were asked for their tasks at a time, and the answers are stored."""
    if is_refresh_wanted(ctx, app_id):
        with ctx.db.transaction() as tx:
            rows.end_refresh(tx, app_id, asked_at)


def note_seen(ctx: Context, app_id: str, workers: Workers) -> None:
    """Store what was seen of an app; make functions of its tasks that are new."""
    now = ctx.now()
    with ctx.db.reading() as tx:
        row = celery_app_list.by_id(tx, app_id)
    if row is None:
        return
    seen = workers.seen(celery_seen.from_json(row["seen"]), now)
    new = celery_apps.register_tasks(ctx, app_id, seen.tasks)  # what is shown can be started
    with ctx.db.transaction() as tx:
        rows.note_seen(tx, app_id, seen.to_json(), now)
    if new:
        unseen_tasks.warn(ctx, app_id)


def note_failures(ctx: Context, errors: Mapping[str, JsonObject]) -> None:
    """Store why tasks failed, by their ids, for the answers that say that they did."""
    now = ctx.now()
    found: list[RowValues] = [
        {"task_id": name, "error": canonical.dumps(error).decode(), "failed_at": now}
        for name, error in errors.items()
    ]
    with ctx.db.transaction() as tx:
        sent_tasks.note_failures(tx, found)


def note_executions(ctx: Context, found: Sequence[Execution]) -> None:
    """Store when workers received and began tasks, and why tasks asked Celery for a retry."""
    ctx.committer.run("executions", _put_all, found)


def _put_all(tx: Connection, writes: Sequence[Sequence[Execution]]) -> list[None]:
    task_executions.put(tx, [one for found in writes for one in found])
    return [None] * len(writes)


def revoke(ctx: Context, app_id: str, send: Callable[[Sequence[str], bool], object]) -> None:
    """Have `send` revoke the tasks that nobody waits for; its second argument kills running ones.

    What it could not send is tried again. It is called outside of transactions: a broker may take
    seconds, and SQLite has one writer at a time.
    """
    with ctx.db.reading() as tx:
        found = sent_tasks.revocations(tx, app_id, _MOST_REVOKED)
    for terminate in (False, True):
        names = [one.task_id for one in found if one.terminate is terminate]
        if names:
            send(names, terminate)
            with ctx.db.transaction() as tx:
                sent_tasks.forget_revocations(tx, names)
