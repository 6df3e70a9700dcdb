"""Revocations: have the workers of Celery apps drop tasks whose answers nobody waits for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from ...domain.errors import Unreadable
from ...domain.runs.items import Item, ItemKind
from ...domain.runs.runs import Run, RunStatus
from ...domain.steps import tasks
from ...storage.db.row_types import Record
from ...storage.queue import sent_tasks
from ...storage.queue.sent_tasks import Revoked
from ..runtime.context import Context

# The items of tasks that were sent; a run of one task sends it by its first item.
_TASKS = frozenset({ItemKind.START.value, ItemKind.TASK.value})


@dataclass(frozen=True, slots=True)
class Ending:
    """A run and the terminal status it takes.

    `started_at` is used if the run had not started; `error_text` is the error in its events.
    `terminate` kills its Celery tasks that run; so does the setting of their function.
    """

    run: Run
    status: RunStatus
    output: str | None
    at: datetime
    started_at: datetime | None = None
    error_text: str | None = None
    terminate: bool = False


def revoke_of_ended(
    tx: Connection,
    ctx: Context,
    over: Sequence[Ending],
    leased: Sequence[Record],
    but: Item | None = None,
) -> None:
    """Revoke the tasks that were sent for runs; `leased` are the items that these have lost.

    Runs under limits keep the items of such tasks until their answers come. An item that is still
    leased to the worker that sends its task counts as sent. `but` is the task whose failure ends
    the others.
    """
    apps = {
        one.run.id: app
        for one in over
        if one.status is not RunStatus.COMPLETED
        and (app := _app(tx, ctx, one.run, terminate=one.terminate)) is not None
    }
    if not apps:
        return
    limited = [one.run.id for one in over if one.run.id in apps and one.run.slots is not None]
    found = [row for row in leased if row.run_id in apps and row.kind in _TASKS]
    found += sent_tasks.of_runs(tx, limited) if limited else []
    found = [row for row in found if but is None or row.id != but.id]
    names = [(tasks.task_id(one.id, one.attempt), *apps[one.run_id]) for one in found]
    sent_tasks.revoke(tx, [Revoked(*one) for one in names])


def revoke_attempt(tx: Connection, ctx: Context, run: Run, item: Item) -> None:
    """Revoke an attempt of a task that is not waited for any longer."""
    app = _app(tx, ctx, run, terminate=False)
    if app is not None:
        sent_tasks.revoke(tx, [Revoked(tasks.task_id(item.id, item.attempt), *app)])


def _app(tx: Connection, ctx: Context, run: Run, *, terminate: bool) -> tuple[str, bool] | None:
    """Find the Celery app that runs the tasks of a run, and whether those that run are killed."""
    try:
        function = ctx.catalog.known(run.function_id) or ctx.catalog.find(tx, run.function_id)
    except Unreadable:  # of a newer version: its tasks end unrevoked, and their answers do nothing
        return None
    task = None if function is None else function.config.celery
    if function is None or task is None:
        return None
    return function.app_id, terminate or task.terminate
