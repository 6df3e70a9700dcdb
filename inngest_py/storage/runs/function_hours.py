"""Roll-ups: by function and hour, what the runs that ended in it come to.

The transaction that begins or ends a run writes nothing here. Upkeep reads the starts and the ends
that are settled, by the indexes of their times, and adds them up. Of each of the two one fact of
`meta` says up to when that is done. A guarded statement moves it in the transaction that adds, so
each start and each end is counted once, by any process.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Index, Text, delete, select, text, tuple_
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql.dml import Insert as InsertStatement

from ...domain.reports.roll_ups import BegunRun, EndedRun, Figures
from ..db import meta
from ..db.columns import Base, Json, Timestamp, table_of
from ..db.row_types import AnyColumn, RowValues
from ..db.session import insert
from .runs import RunRow

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_CHUNK = 200  # hours that one statement reads or writes


class FunctionHour(Base):
    """The figures of one function in one hour; the histograms are described in roll_ups.

    `begun` counts the runs that began in the hour; all else is about those that ended in it.

    `function_id` refers to no row: a function that is deleted leaves its hours to forget().
    """

    __tablename__ = "function_hours"
    # serves forget() and queries.reports.function_figures
    __table_args__ = (Index("function_hours_hour_idx", "hour"),)
    function_id: Mapped[str] = mapped_column(Text, primary_key=True)
    hour: Mapped[datetime] = mapped_column(Timestamp, primary_key=True)
    begun: Mapped[int] = mapped_column(server_default=text("0"))
    completed: Mapped[int]
    failed: Mapped[int]
    cancelled: Mapped[int]
    run_ms: Mapped[str] = mapped_column(Json)
    queue_ms: Mapped[str] = mapped_column(Json)


_hours, _runs = table_of(FunctionHour), table_of(RunRow)
_ENDED = [_runs.c[name] for name in EndedRun._fields]
_BEGUN = [_runs.c[name] for name in BegunRun._fields]


@dataclass(frozen=True, slots=True)
class Count:
    """A count of runs by a time that they have: the fact that says how far it is, and that time."""

    fact: str  # its value is in microseconds since 1970
    at: AnyColumn


ENDS = Count("runs_rolled_up_to", _runs.c.ended_at)
STARTS = Count("starts_rolled_up_to", _runs.c.started_at)


def counted_to(tx: Connection, of: Count) -> datetime | None:
    """Say up to when runs are counted, that time included; None before the first look."""
    found = meta.value(tx, of.fact)
    return None if found is None else _EPOCH + found * _MICROSECOND


def begin(tx: Connection, of: Count, at: datetime) -> None:
    """Begin to count what is after a time, unless another process has begun."""
    meta.put_first(tx, of.fact, _number(at))


def end_of_slice(
    tx: Connection, of: Count, after: datetime, until: datetime, most: int
) -> datetime:
    """Say up to when there are about `most` runs after a time; `until` when there are fewer."""
    query = select(of.at).where(of.at > after, of.at <= until)
    found = tx.execute(query.order_by(of.at).offset(most - 1).limit(1)).scalar()
    return until if found is None else found


def ended(tx: Connection, after: datetime, until: datetime) -> list[EndedRun]:
    """List the runs that ended after a time, up to another."""
    query = select(*_ENDED).where(ENDS.at > after, ENDS.at <= until)
    return [EndedRun(*row) for row in tx.execute(query)]


def begun(tx: Connection, after: datetime, until: datetime) -> list[BegunRun]:
    """List the runs that began after a time, up to another."""
    query = select(*_BEGUN).where(STARTS.at > after, STARTS.at <= until)
    return [BegunRun(*row) for row in tx.execute(query)]


def move_on(tx: Connection, of: Count, before: datetime, at: datetime) -> bool:
    """Note that runs are counted up to a time; say whether this was the next slice.

    The statement locks the fact, so that one process at a time adds to the hours.
    """
    return meta.move(tx, of.fact, _number(before), _number(at))


def _number(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def add(tx: Connection, counted: Mapping[tuple[str, datetime], Figures]) -> None:
    """Add figures of ended runs to hours; move_on() has locked them."""
    keys = sorted(counted)
    for start in range(0, len(keys), _CHUNK):
        chunk = keys[start : start + _CHUNK]
        stored, rows = _stored(tx, chunk), []
        for key in chunk:
            figures = stored.get(key, Figures())
            figures.merge(counted[key])
            rows.append(_values(*key, figures))
        tx.execute(_replacing(tx), rows)


def add_begun(tx: Connection, counted: Mapping[tuple[str, datetime], int]) -> None:
    """Add counts of runs that began to hours, which others may add ends to meanwhile."""
    statement = insert(tx, FunctionHour)
    changes = {"begun": _hours.c.begun + statement.excluded.begun}
    adding = statement.on_conflict_do_update(index_elements=["function_id", "hour"], set_=changes)
    rows = [_values(*key, Figures()) | {"begun": counted[key]} for key in sorted(counted)]
    tx.execute(adding, rows)


def _replacing(tx: Connection) -> InsertStatement:
    statement = insert(tx, FunctionHour)
    names = ("completed", "failed", "cancelled", "run_ms", "queue_ms")
    changes = {name: statement.excluded[name] for name in names}
    return statement.on_conflict_do_update(index_elements=["function_id", "hour"], set_=changes)


def _stored(
    tx: Connection, keys: Sequence[tuple[str, datetime]]
) -> dict[tuple[str, datetime], Figures]:
    mine = tuple_(_hours.c.function_id, _hours.c.hour).in_(keys)
    found = {}
    for row in tx.execute(select(_hours).where(mine)):
        figures = Figures(row.completed, row.failed, row.cancelled)
        figures.run_ms.merge_text(row.run_ms)
        figures.queue_ms.merge_text(row.queue_ms)
        found[row.function_id, row.hour] = figures
    return found


def _values(function_id: str, hour: datetime, figures: Figures) -> RowValues:
    return {
        "function_id": function_id,
        "hour": hour,
        "completed": figures.completed,
        "failed": figures.failed,
        "cancelled": figures.cancelled,
        "run_ms": figures.run_ms.text(),
        "queue_ms": figures.queue_ms.text(),
    }


def drop(tx: Connection, function_ids: Sequence[str]) -> None:
    """Delete the hours of functions."""
    tx.execute(delete(_hours).where(_hours.c.function_id.in_(list(function_ids))))


def forget(tx: Connection, before: datetime, limit: int) -> bool:
    """Delete up to `limit` hours before a time; say whether there may be more."""
    old = select(_hours.c.function_id, _hours.c.hour).where(_hours.c.hour < before).limit(limit)
    keys = [tuple(row) for row in tx.execute(old)]
    if keys:
        mine = tuple_(_hours.c.function_id, _hours.c.hour).in_(keys)
        tx.execute(delete(_hours).where(mine))
    return len(keys) == limit
