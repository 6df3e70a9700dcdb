"""Which runs a list shows, and what the database is to compare for it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import ColumnElement, select, union_all

from ....domain.events.event_record import DEFERRED
from ....domain.events.filters import Condition
from ....domain.runs.phases import Phase
from ....domain.runs.runs import ENDED, RunStatus
from ...catalog.functions import FunctionRow
from ...db.columns import table_of
from ...db.keyset import within
from ...db.row_types import AnyColumn, Query
from ...events.events import EventRow
from ...flow.event_batches import BatchEvent
from ...runs import run_search_keys
from ...runs.run_search_keys import RunSearchKey
from ..conditions import on_columns
from ..errors.failed_runs import still_failed
from ..run_columns import in_phases, items_of, runs, statuses_of
from .leads import Lead, LeadBy, Pair

_members, _keys, _events = table_of(BatchEvent), table_of(RunSearchKey), table_of(EventRow)


@dataclass(frozen=True, slots=True)
class RunQuery:
    """Which runs to list; `since` (included) and `until` (not) bound `time_field`, one of TIMES."""

    time_field: str = "queued_at"
    since: datetime | None = None
    until: datetime | None = None
    statuses: Sequence[RunStatus] | None = None
    phases: Sequence[Phase] | None = None  # of live runs only those in these phases
    function_ids: Sequence[str] | None = None
    app_ids: Sequence[str] | None = None
    event_id: str | None = None  # runs that this event started, alone or in an event batch
    deferred: bool | None = None
    scheduled: bool = False  # only runs that cron schedules started
    conditions: Sequence[Condition] = ()
    text: str | None = None  # the run, its event, output or errors contain it, ignoring case
    event_prefix: str | None = None  # the event's name begins with it
    # conditions on columns of the event, which a search looks up for each run
    looked_up: Sequence[Condition] = ()
    error_id: str | None = None  # of this error group, failed, and not run again yet
    from_id: str | None = None  # no run whose id sorts before it
    keys: Sequence[tuple[str, str]] = ()  # search keys and the values that they have
    before_id: str | None = None  # only runs whose ids sort before it

    @property
    def wanted_statuses(self) -> Sequence[RunStatus] | None:
        """The statuses that runs in its phases may have; None for all."""
        if self.phases is None:
            return self.statuses
        return statuses_of(self.phases, self.statuses)

    @property
    def by_status(self) -> Sequence["RunQuery"]:
        """The same query for each of its statuses; of one status, it asks for phases if it must."""
        return [
            replace(
                self,
                statuses=[status],
                phases=self.phases if status is RunStatus.RUNNING else None,
            )
            for status in self.wanted_statuses or ()
        ]


def where(chosen: Query, query: RunQuery, lead: Lead) -> Query:
    """Restrict a query of runs, with their function and event, to those that match."""
    leading = lead.key
    column = runs.c[query.time_field]
    if query.since is not None:
        chosen = chosen.where(column >= query.since)
    if query.until is not None:
        chosen = chosen.where(column < query.until)
    if query.time_field == "queued_at":
        chosen = chosen.where(*within(id_column(leading), query.since, query.until))
    if query.phases is not None:
        chosen = chosen.where(*_in_phases(query.phases, query.wanted_statuses or (), lead))
    if (statuses := query.wanted_statuses) is not None:
        status = lead.column(LeadBy.STATUS, runs.c.status)
        chosen = chosen.where(status.in_([one.value for one in statuses]))
    if query.function_ids is not None:
        function_id = lead.column(LeadBy.FUNCTION, runs.c.function_id)
        chosen = chosen.where(function_id.in_(query.function_ids))
    if query.app_ids is not None:
        chosen = chosen.where(FunctionRow.app_id.in_(query.app_ids))
    if query.event_id is not None:
        chosen = chosen.where(runs.c.id.in_(_started_by(query.event_id)))
    if query.deferred is not None:
        is_deferred = EventRow.name == DEFERRED
        chosen = chosen.where(is_deferred if query.deferred else ~is_deferred)
    if query.scheduled:
        chosen = chosen.where(runs.c.cron.is_not(None))
    if query.error_id is not None:
        chosen = chosen.where(*still_failed(query.error_id))
    if query.from_id is not None:
        chosen = chosen.where(id_column(leading) >= query.from_id)
    if query.before_id is not None:
        chosen = chosen.where(id_column(leading) < query.before_id)
    return chosen.where(*_has_keys(query, leading), *_of_event(query, lead))


def _in_phases(
    phases: Sequence[Phase], statuses: Sequence[RunStatus], lead: Lead
) -> list[ColumnElement[bool]]:
    """Write that a run has ended, or is in one of the phases.

    Few items find their runs. Of many, SQLite would first read all, which took 130 ms for 100,000.
    """
    found = [in_phases(phases)]
    if not lead.many_items and not ENDED.intersection(statuses):
        found.append(runs.c.id.in_(items_of(phases)))
    return found


def _of_event(query: RunQuery, lead: Lead) -> list[ColumnElement[bool]]:
    """Write the conditions on the event's columns, and its name so that the lead decides."""
    by_name = [one for one in query.conditions if names_event(one)]
    found = on_columns([one for one in query.conditions if one not in by_name])
    for one in by_name:
        if lead.by is LeadBy.EVENT:
            of_name = select(_events.c.id).where(_events.c.name == one.value)
            found.append(runs.c.event_id.in_(of_name))
        else:
            found.append(lead.column(LeadBy.EVENT, _events.c.name) == one.value)
    return found


def names_event(condition: Condition) -> bool:
    """Say whether a condition is that the event has one name."""
    return not condition.in_json and condition.field[0] == "name" and condition.sign == "=="


def id_column(leading: Pair | None) -> AnyColumn:
    """Give the column by which a list is read in the order of ids.

    If a search key leads, this is the key's own: its index has the runs of a value in that order.
    """
    return runs.c.id if leading is None else _keys.c.run_id


def _has_keys(query: RunQuery, leading: Pair | None) -> list[ColumnElement[bool]]:
    """Write that runs have the values: that of the leading key, and others by a look-up."""
    others = [run_search_keys.has(runs.c.id, *pair) for pair in query.keys if pair != leading]
    if leading is None:
        return others
    name, value = leading
    return [_keys.c.run_id == runs.c.id, _keys.c.key == name, _keys.c.value == value, *others]


def _started_by(event_id: str) -> Query:
    """Select the ids of the runs that an event started, each part by an index of its own."""
    alone = select(runs.c.id).where(runs.c.event_id == event_id)
    batched = select(runs.c.id).join(_members, _members.c.batch_id == runs.c.batch_id)
    batched = batched.where(runs.c.batch_id.is_not(None), _members.c.event_id == event_id)
    started = union_all(alone, batched).subquery()
    return select(started.c.id)
