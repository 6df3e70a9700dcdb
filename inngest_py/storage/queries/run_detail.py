"""What a run's page shows beside its timeline: the start of large values, and related runs."""

from collections.abc import Sequence

from sqlalchemy import Connection, RowMapping, func, select, union_all

from ...domain.runs.phases import PHASES, Phase
from ...domain.runs.runs import RunStatus
from ..catalog.functions import App, FunctionRow
from ..db.columns import table_of
from ..db.row_types import Query
from ..events.events import EventRow
from ..queue.queue_items import QueueItem
from ..runs.attempts import Attempt
from ..runs.runs import RunRow
from ..runs.steps import Step
from .run_columns import driving, is_leased, phase, place

_runs, _steps, _attempts, _events = (
    table_of(RunRow),
    table_of(Step),
    table_of(Attempt),
    table_of(EventRow),
)
_items = table_of(QueueItem)
MOST_RELATED = 50
Head = tuple[str, int]  # the first characters of a value, and its length

_related = select(
    _runs.c.id,
    _runs.c.status,
    phase.label("phase"),
    _runs.c.queued_at,
    _runs.c.correlation_id,
    FunctionRow.slug.label("function_slug"),
).join(FunctionRow, FunctionRow.id == _runs.c.function_id)


def run_output(tx: Connection, run_id: str, most: int) -> Head | None:
    """Read the head of a run's output; None while there is none."""
    return _head(tx, _cut(_runs.c.output, most).where(_runs.c.id == run_id))


def run_input(tx: Connection, run_id: str, most: int) -> tuple[str, Head] | None:
    """Read the step that gets new input in a rerun, and that input's head; None without one."""
    query = select(_runs.c.input_step).where(_runs.c.id == run_id)
    step = tx.execute(query).scalar()
    head = _head(tx, _cut(_runs.c.input, most).where(_runs.c.id == run_id))
    return None if step is None or head is None else (step, head)


def config(tx: Connection, function_id: str) -> str | None:
    """Read the configuration of a function, as JSON; None when it is gone."""
    found: str | None = tx.execute(
        select(FunctionRow.config).where(FunctionRow.id == function_id)
    ).scalar()
    return found


def sdk_language(tx: Connection, function_id: str) -> str:
    """Return the language of the SDK of a function's app, as it registers: py, js, celery …"""
    query = select(App.sdk_language).join(FunctionRow, FunctionRow.app_id == App.id)
    return tx.execute(query.where(FunctionRow.id == function_id)).scalar() or ""


def step_output(tx: Connection, run_id: str, step: str, most: int) -> Head | None:
    """Read the head of a step's stored result; None when there is none."""
    mine = (_steps.c.run_id == run_id, _steps.c.hash == step)
    return _head(tx, _cut(_steps.c.output, most).where(*mine))


def attempt_error(tx: Connection, run_id: str, attempt_id: int, most: int) -> Head | None:
    """Read the head of an attempt's error; None when there is none."""
    mine = (_attempts.c.run_id == run_id, _attempts.c.id == attempt_id)
    return _head(tx, _cut(_attempts.c.error, most).where(*mine))


def attempt_errors(
    tx: Connection, run_id: str, attempt_ids: Sequence[int], most: int
) -> dict[int, str]:
    """Read the heads of the errors of attempts, by id; attempts without an error are missing."""
    if not attempt_ids:
        return {}
    mine = (_attempts.c.run_id == run_id, _attempts.c.id.in_(list(attempt_ids)))
    query = select(_attempts.c.id, func.substr(_attempts.c.error, 1, most)).where(*mine)
    return {row[0]: row[1] for row in tx.execute(query.where(_attempts.c.error.is_not(None)))}


def event_payload(tx: Connection, event_id: str, most: int) -> Head | None:
    """Read the head of an event's payload; None when it is gone."""
    return _head(tx, _cut(_events.c.payload, most).where(_events.c.id == event_id))


def _cut(column: object, most: int) -> Query:
    return select(func.substr(column, 1, most), func.length(column))


def _head(tx: Connection, query: Query) -> Head | None:
    row = tx.execute(query).one_or_none()
    return None if row is None or row[0] is None else (row[0], row[1])


def reruns(tx: Connection, run_id: str) -> list[RowMapping]:
    """List the reruns of a run, oldest first."""
    query = _related.where(_runs.c.original_run_id == run_id)
    return list(tx.execute(query.order_by(_runs.c.id).limit(MOST_RELATED)).mappings())


def answering(
    tx: Connection, correlations: Sequence[str], most: int = MOST_RELATED
) -> list[RowMapping]:
    """List the runs that invoke steps wait for, by correlation ids."""
    query = _related.where(_runs.c.correlation_id.in_(list(correlations)))
    return list(tx.execute(query.order_by(_runs.c.id).limit(most)).mappings())


def siblings(tx: Connection, event_id: str, run_id: str) -> list[RowMapping]:
    """List the other runs that an event started, oldest first."""
    query = _related.where(_runs.c.event_id == event_id, _runs.c.id != run_id)
    return list(tx.execute(query.order_by(_runs.c.id).limit(MOST_RELATED)).mappings())


def last_outcomes(
    tx: Connection, function_ids: Sequence[str], most: int
) -> dict[str, dict[str, int]]:
    """Count the newest runs of each function by status, up to `most` of each."""
    found: dict[str, dict[str, int]] = {function_id: {} for function_id in function_ids}
    if not found:
        return found
    # one short read of an index per function, all in one statement
    newest = [
        select(_newest(function_id, most).subquery(f"newest_{place}"))
        for place, function_id in enumerate(found)
    ]
    every = union_all(*newest).subquery()
    query = select(every.c.function_id, every.c.status, func.count())
    for row in tx.execute(query.group_by(every.c.function_id, every.c.status)):
        found[row[0]][row[1]] = row[2]
    return found


def _newest(function_id: str, most: int) -> Query:
    chosen = select(_runs.c.function_id, _runs.c.status)
    chosen = chosen.where(_runs.c.function_id == function_id)
    return chosen.order_by(_runs.c.id.desc()).limit(most)


def live(tx: Connection, most: int) -> dict[str, int]:
    """Count queued and running runs, each up to a bound."""
    found = {}
    for status in (RunStatus.QUEUED.value, RunStatus.RUNNING.value):
        some = select(_runs.c.id).where(_runs.c.status == status).limit(most).subquery()
        found[status] = tx.execute(select(func.count()).select_from(some)).scalar_one()
    return found


def in_phases(tx: Connection, most: int) -> tuple[dict[Phase, int], bool]:
    """Count live runs by phase, from up to `most` items; those that execute from their own index.

    The second value says whether there may be more.
    """
    some = select(_items.c.run_id, place.label("place")).where(driving).limit(most).subquery()
    by_run = select(func.min(some.c.place).label("place"), func.count().label("size"))
    each = by_run.group_by(some.c.run_id).subquery()
    counted = select(each.c.place, func.count(), func.sum(each.c.size)).group_by(each.c.place)
    rows = tx.execute(counted).all()
    found = dict.fromkeys(Phase, 0) | {PHASES[row[0]]: row[1] for row in rows}
    leased = select(_items.c.run_id).distinct().where(is_leased, driving).limit(most).subquery()
    found[Phase.EXECUTING] = tx.execute(select(func.count()).select_from(leased)).scalar_one()
    return found, sum(row[2] for row in rows) >= most
