"""Tell listeners of attempts of Celery tasks that have ended, with the times of their workers.

A moment after the answers: what the workers' events told is stored by then. Nothing is read as long
as nobody listens.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from ... import observe
from ...domain.reports import task_spans
from ...domain.steps.task_executions import Execution
from ...storage.queries import timeline_rows
from ..runtime.context import Context
from ..runtime.ended_tasks import EndedTask

EVERY = timedelta(seconds=1)
_LATER = timedelta(seconds=1)
_BATCH = 500


def run_once(ctx: Context) -> bool:
    """Send the signals of attempts that ended a second ago; say whether there are more."""
    ended = ctx.celery_apps.ended.take(ctx.now() - _LATER, _BATCH)
    if not ended:
        return False
    try:
        with ctx.db.reading() as tx:
            executions = _executions(tx, ended)
    except SQLAlchemyError:
        ctx.celery_apps.ended.give_back(ended)
        raise
    for one in ended:
        _tell(one, executions.get(one.task_id, ()))
    return len(ended) == _BATCH


def _executions(tx: Connection, ended: Sequence[EndedTask]) -> dict[str, list[Execution]]:
    by_run: dict[str, list[str]] = defaultdict(list)
    for one in ended:
        by_run[one.run_id].append(one.task_id)
    return timeline_rows.executions_of_tasks(tx, by_run)


def _tell(one: EndedTask, executions: Sequence[Execution]) -> None:
    told = task_spans.of_attempt(one.task_id, executions, sent=one.sent_at, ended=one.ended_at)
    observe.send(
        observe.task_ended,
        run_id=one.run_id,
        function_id=one.function_id,
        function=one.function,
        app=one.app,
        task=one.task,
        step=one.step,
        task_id=one.task_id,
        attempt=one.attempt,
        outcome=one.outcome,
        error=one.error,
        queued_at=one.queued_at,
        sent_at=one.sent_at,
        started_at=told.started_at,
        ended_at=one.ended_at,
        worker=told.host,
        retries=max(0, len(executions) - 1),
        traceparent=one.traceparent,
    )
