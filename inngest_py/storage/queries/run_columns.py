"""The columns of runs that lists and pages may show, by name, and the tables they come from."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, case, func, or_, select

from ...domain.runs.items import CALLS, DRIVING, ItemKind, ItemState
from ...domain.runs.phases import PHASES, Phase
from ...domain.runs.runs import ENDED, RunStatus
from ..catalog.functions import App, FunctionRow
from ..db.columns import table_of
from ..db.row_types import AnyColumn, Query
from ..events.events import EventRow
from ..queue.queue_items import QueueItem
from ..runs.runs import RunRow

runs, _items = table_of(RunRow), table_of(QueueItem)
_calls = _items.c.kind.in_([kind.value for kind in CALLS])
driving = _items.c.kind.in_([kind.value for kind in DRIVING])
is_leased = _items.c.state == ItemState.LEASED.value
# what an item means for its run: the first that holds
_MEANING: dict[Phase, ColumnElement[bool]] = {
    Phase.EXECUTING: is_leased,
    Phase.RETRYING: _calls & (_items.c.attempt > 0),
    Phase.QUEUED: _calls,
    Phase.WAITING: _items.c.kind == ItemKind.WAIT.value,
    Phase.SLEEPING: _items.c.kind == ItemKind.SLEEP.value,
}
# the place in PHASES
place = case(*[(_MEANING[one], number) for number, one in enumerate(PHASES)])
_first_place = (
    select(func.min(place))
    .where(_items.c.run_id == runs.c.id, driving)
    .correlate(runs)
    .scalar_subquery()
)
# Null for a run that has ended, and for a stranded one, which has no item. Only runs that have
# begun cost a look at their items.
phase = case(
    (runs.c.status == RunStatus.QUEUED.value, Phase.QUEUED.value),
    (
        runs.c.status == RunStatus.RUNNING.value,
        case(
            {number: one.value for number, one in enumerate(PHASES)},
            value=_first_place,
        ),
    ),
)
COLUMNS: dict[str, AnyColumn] = {
    **{column.name: column for column in runs.c},
    "function_slug": table_of(FunctionRow).c.slug,
    "function_name": table_of(FunctionRow).c.name,
    "app_id": table_of(FunctionRow).c.app_id,
    "app_name": table_of(App).c.name,
    "event_name": table_of(EventRow).c.name,
    "phase": phase,
}
# columns of any size: name them only where they are shown
LARGE = ("output", "pending", "input", "defers")
SMALL = tuple(name for name in COLUMNS if name not in LARGE)
WITH_OUTPUT = (*SMALL, "output")


def select_runs(names: Sequence[str]) -> Query:
    """Select columns of runs, with their function, app and event."""
    return (
        select(*[COLUMNS[name].label(name) for name in names])
        .select_from(runs)
        .join(FunctionRow, FunctionRow.id == runs.c.function_id)
        .join(App, App.id == FunctionRow.app_id)
        .join(EventRow, EventRow.id == runs.c.event_id)
    )


def statuses_of(
    phases: Sequence[Phase], statuses: Sequence[RunStatus] | None
) -> Sequence[RunStatus]:
    """Leave out the statuses of live runs that are in none of the phases."""
    live = {RunStatus.RUNNING} | ({RunStatus.QUEUED} if Phase.QUEUED in phases else set())
    return [one for one in statuses or list(RunStatus) if one in ENDED or one in live]


def in_phases(phases: Sequence[Phase]) -> ColumnElement[bool]:
    """Write that a run has ended, or is in one of the phases."""
    ended = runs.c.status.in_([status.value for status in ENDED])
    return or_(ended, phase.in_([one.value for one in phases]))


def items_of(phases: Sequence[Phase]) -> Query:
    """Select the runs of the items of phases: all runs in them, and others in an earlier phase."""
    return select(_items.c.run_id).where(driving, or_(*[_MEANING[one] for one in phases]))
