"""Load runs, with what their next requests need of their events and functions."""

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, select

from ...domain.flow.slots import from_json
from ...domain.runs.runs import Run, RunStatus
from ..catalog.functions import FunctionRow, Revision
from ..db.columns import table_of, utc
from ..db.dialects import is_sqlite
from ..db.row_types import Record
from ..db.statements import PerRow, given
from ..events.events import EventRow
from ..flow import event_batches
from ..runs.runs import RunRow

Loaded = dict[str, tuple[Run, Revision]]  # by run id

_runs = table_of(RunRow)
LOADED = (
    _runs.c.id,
    _runs.c.function_id,
    FunctionRow.slug.label("function_slug"),
    _runs.c.event_id,
    _runs.c.status,
    _runs.c.queued_at,
    _runs.c.started_at,
    _runs.c.request_version,
    _runs.c.force_plan,
    _runs.c.step_count,
    _runs.c.state_bytes,
    _runs.c.correlation_id,
    _runs.c.input_step,
    _runs.c.input,
    _runs.c.defers,
    _runs.c.endpoint,
    _runs.c.batch_id,
    _runs.c.singleton_key,
    _runs.c.slots,
    EventRow.name.label("event_name"),
    EventRow.payload.label("event"),
    EventRow.traceparent,
    FunctionRow.version.label("current_version"),
    FunctionRow.limits_revision,
    FunctionRow.paused,
)
_runs_loaded = (
    select(*LOADED)
    .select_from(_runs)
    .join(EventRow, EventRow.id == _runs.c.event_id)
    .join(FunctionRow, FunctionRow.id == _runs.c.function_id)
)
_load = _runs_loaded.where(_runs.c.id.in_(bindparam("ids", expanding=True)))
_load_one = PerRow(_runs_loaded.where(_runs.c.id == given(["run"])["run"]), ["run"])


def load(tx: Connection, ids: Sequence[str]) -> Loaded:
    """Read runs with their events and their functions' current revisions, by run id."""
    if is_sqlite(tx):
        return built(tx, _load_one.run(tx, [(run_id,) for run_id in ids]))
    return built(tx, tx.execute(_load, {"ids": list(ids)}).all())


def built(tx: Connection, rows: Sequence[Record]) -> Loaded:
    """Make runs from rows with the columns LOADED."""
    batched = sorted({row.batch_id for row in rows if row.batch_id is not None})
    events = event_batches.payloads(tx, batched) if batched else {}
    return {
        row.id: (
            _run(row, events.get(row.batch_id, ())),
            (row.current_version, row.limits_revision),
        )
        for row in rows
    }


def _run(row: Record, events: Sequence[str]) -> Run:
    return Run(
        id=row.id,
        function_id=row.function_id,
        function_slug=row.function_slug,
        event_id=row.event_id,
        status=RunStatus(row.status),
        queued_at=utc(row.queued_at),
        started_at=row.started_at and utc(row.started_at),
        request_version=row.request_version,
        force_plan=row.force_plan,
        step_count=row.step_count,
        state_bytes=row.state_bytes,
        correlation_id=row.correlation_id,
        event_name=row.event_name,
        event=row.event,
        input_step=row.input_step,
        input=row.input,
        defers=row.defers,
        endpoint=row.endpoint,
        paused=row.paused is not None,
        singleton_key=row.singleton_key,
        slots=from_json(row.slots),
        traceparent=row.traceparent,
        events=tuple(events),
    )
