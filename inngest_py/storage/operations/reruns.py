"""Reruns: read what is needed to run a run again, and copy its memo."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, RowMapping, func, insert, literal, select

from ...domain.runs.items import ItemKind
from ...domain.steps import tasks
from ..catalog.functions import FunctionRow
from ..db.columns import Timestamp, table_of
from ..db.row_types import RowValues
from ..db.session import byte_length
from ..events.events import EventRow
from ..queue.queue_items import QueueItem
from ..runs.attempts import Attempt
from ..runs.runs import RunRow
from ..runs.steps import Step

_runs = table_of(RunRow)
_steps = table_of(Step)
_attempts = table_of(Attempt)
# kinds of attempts that do not say of which kind the step is
_UNNAMED = ("Execution", "StepPlanned", "StepError", "StepFailed")
# kinds of items whose steps have no attempt before their end
_OPS = {ItemKind.SLEEP.value: "Sleep", ItemKind.TASK.value: tasks.OP}


def source(tx: Connection, run_id: str, *, locked: bool = True) -> RowMapping | None:
    """Read a run for its rerun; None when there is no such run.

    `event_name` is None when the event is deleted; `archived_at` is the function's. Locks the run's
    row, so that it and its event cannot be pruned meanwhile; the lock lets the run continue. A
    page, which only reads, takes none.
    """
    query = (
        select(
            _runs.c.function_id,
            _runs.c.function_version,
            _runs.c.event_id,
            _runs.c.correlation_id,
            _runs.c.batch_id,
            _runs.c.cron,
            _runs.c.input,
            _runs.c.input_step,
            _runs.c.state_bytes,
            FunctionRow.slug.label("function_slug"),
            FunctionRow.version.label("current_version"),
            FunctionRow.limits_revision,
            FunctionRow.archived_at,
            EventRow.name.label("event_name"),
            EventRow.payload.label("event_payload"),
            EventRow.internal.label("event_internal"),
        )
        .join(FunctionRow, FunctionRow.id == _runs.c.function_id)
        .outerjoin(EventRow, EventRow.id == _runs.c.event_id)
        .where(_runs.c.id == run_id)
    )
    if locked:
        query = query.with_for_update(read=True, key_share=True, of=_runs)
    return tx.execute(query).mappings().first()


def events_of_reruns(tx: Connection, event_ids: Sequence[str]) -> set[str]:
    """Return which events were made for reruns with other data: each is for its run alone."""
    again = _runs.alias("again")
    query = select(again.c.event_id).join(_runs, _runs.c.id == again.c.original_run_id)
    query = query.where(again.c.event_id.in_(event_ids), _runs.c.event_id != again.c.event_id)
    return set(tx.execute(query).scalars())


def stack(tx: Connection, run_id: str, op: str | None = None) -> list[str]:
    """List the hashes of a run's stored steps, or those of a kind, in the order of the stack."""
    query = select(_steps.c.hash).where(_steps.c.run_id == run_id)
    query = query if op is None else query.where(_steps.c.op == op)
    return list(tx.execute(query.order_by(_steps.c.position, _steps.c.stored_at)).scalars())


def unfinished(tx: Connection, run_id: str) -> list[str]:
    """List the hashes of steps with an attempt or an item, whether they have a result or not."""
    tried = select(Attempt.step).where(Attempt.run_id == run_id, Attempt.step.is_not(None))
    queued = select(QueueItem.step).where(QueueItem.run_id == run_id, QueueItem.step.is_not(None))
    return [step for step in tx.execute(tried.union(queued)).scalars() if step is not None]


def named(tx: Connection, run_id: str, step: str) -> tuple[str, str]:
    """Return the name and the kind of a step that the run has reached."""
    tried = select(_attempts.c.name, _attempts.c.op).where(
        _attempts.c.run_id == run_id, _attempts.c.step == step
    )
    found = list(tx.execute(tried.order_by(_attempts.c.id.desc())).all())
    mine = (QueueItem.run_id == run_id, QueueItem.step == step)
    queued = tx.execute(select(QueueItem.step_name, QueueItem.kind).where(*mine)).all()
    names = [row.name for row in found if row.op != "Execution"]
    names += [row.step_name or "" for row in queued]
    ops = [row.op for row in found if row.op not in _UNNAMED]
    ops += [_OPS.get(row.kind, "") for row in queued]
    return next(filter(None, names), step), next(filter(None, ops), "StepRun")


def give(tx: Connection, run_id: str, step: RowValues, info: str, now: datetime) -> tuple[int, int]:
    """Store a result that was given by hand, last in the stack, with its line of the timeline.

    `step` has hash, name, op and output. Returns what copy() does.
    """
    place = select(func.count()).where(_steps.c.run_id == run_id).scalar_subquery()
    tx.execute(insert(_steps).values(run_id=run_id, position=place, stored_at=now, **step))
    times = dict.fromkeys(("queued_at", "started_at", "ended_at"), now)
    shown = {"step": step["hash"], "name": step["name"], "op": step["op"], "info": info}
    line = {"run_id": run_id, "attempt": 0, "status": "completed", **shown, **times}
    tx.execute(insert(_attempts).values(**line))
    return _size(tx, run_id)


def copy(
    tx: Connection, run_id: str, new_run_id: str, hashes: Sequence[str], now: datetime
) -> tuple[int, int]:
    """Copy results to another run, in the order of the stack; return how many and their size.

    The size is in bytes, as `runs.state_bytes` counts it.
    """
    if not hashes:
        return 0, 0
    place = func.row_number().over(order_by=(_steps.c.position, _steps.c.stored_at)) - 1
    chosen = select(
        literal(new_run_id),
        _steps.c.hash,
        place,
        _steps.c.name,
        _steps.c.op,
        _steps.c.output,
        literal(now, Timestamp),
    ).where(_steps.c.run_id == run_id, _steps.c.hash.in_(list(hashes)))
    names = ["run_id", "hash", "position", "name", "op", "output", "stored_at"]
    tx.execute(insert(_steps).from_select(names, chosen))
    _copy_timeline(tx, run_id, new_run_id, hashes, now)
    return _size(tx, new_run_id)


def _size(tx: Connection, run_id: str) -> tuple[int, int]:
    size = select(func.count(), func.coalesce(func.sum(byte_length(tx, _steps.c.output)), 0))
    count, total = tx.execute(size.where(_steps.c.run_id == run_id)).one()
    return int(count), int(total)


def _copy_timeline(
    tx: Connection, run_id: str, new_run_id: str, hashes: Sequence[str], now: datetime
) -> None:
    """Copy the steps' last attempts to the other run, with the time of the rerun."""
    last = (
        select(func.max(_attempts.c.id))
        .where(
            _attempts.c.run_id == run_id,
            _attempts.c.step.in_(list(hashes)),
            _attempts.c.status.in_(["completed", "failed", "skipped"]),
        )
        .group_by(_attempts.c.step)
    )
    kept = ["step", "name", "op", "attempt", "status", "error", "info"]
    times = ["queued_at", "started_at", "ended_at"]
    shown = (
        select(
            literal(new_run_id),
            *(_attempts.c[name] for name in kept),
            *(literal(now, Timestamp) for _ in times),
        )
        .where(_attempts.c.id.in_(last))
        .order_by(_attempts.c.id)
    )
    tx.execute(insert(_attempts).from_select(["run_id", *kept, *times], shown))
