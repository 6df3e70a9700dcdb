"""Roll-ups: by function and hour, what the runs that ended in it come to.

The transaction that ends a run writes nothing here. Upkeep reads the ends that are settled, by the
index of `ended_at`, and adds them up. One fact of `meta` says up to when that is done. A guarded
statement moves it in the transaction that adds, so each end is counted once, by any process.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Index, Text, delete, select, tuple_, update
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql.dml import Insert as InsertStatement

from ...domain.reports.roll_ups import EndedRun, Figures
from ..db import meta
from ..db.columns import Base, Json, Timestamp, table_of
from ..db.meta import Meta
from ..db.row_types import RowValues
from ..db.session import insert
from .runs import RunRow

_COUNTED_TO = "runs_rolled_up_to"  # microseconds since 1970
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_CHUNK = 200  # hours that one statement reads or writes


class FunctionHour(Base):
    """The figures of one function in one hour; the histograms are described in roll_ups.

    `function_id` refers to no row: a function that is deleted leaves its hours to forget().
    """

    __tablename__ = "function_hours"
    # serves forget() and queries.reports.function_figures
    __table_args__ = (Index("function_hours_hour_idx", "hour"),)
    function_id: Mapped[str] = mapped_column(Text, primary_key=True)
    hour: Mapped[datetime] = mapped_column(Timestamp, primary_key=True)
    completed: Mapped[int]
    failed: Mapped[int]
    cancelled: Mapped[int]
    run_ms: Mapped[str] = mapped_column(Json)
    queue_ms: Mapped[str] = mapped_column(Json)


_hours, _runs = table_of(FunctionHour), table_of(RunRow)
_ENDED = [_runs.c[name] for name in EndedRun._fields]


def counted_to(tx: Connection) -> datetime | None:
    """Say up to when ends are counted, that time included; None before the first look."""
    found = meta.value(tx, _COUNTED_TO)
    return None if found is None else _EPOCH + found * _MICROSECOND


def begin(tx: Connection, at: datetime) -> None:
    """Begin to count ends after a time, unless another process has begun."""
    first = insert(tx, Meta).values(key=_COUNTED_TO, value=_number(at))
    tx.execute(first.on_conflict_do_nothing())


def end_of_slice(tx: Connection, after: datetime, until: datetime, most: int) -> datetime:
    """Say up to when there are about `most` ends after a time; `until` when there are fewer."""
    query = select(_runs.c.ended_at).where(_runs.c.ended_at > after, _runs.c.ended_at <= until)
    found = tx.execute(query.order_by(_runs.c.ended_at).offset(most - 1).limit(1)).scalar()
    return until if found is None else found


def ended(tx: Connection, after: datetime, until: datetime) -> list[EndedRun]:
    """List the runs that ended after a time, up to another."""
    query = select(*_ENDED).where(_runs.c.ended_at > after, _runs.c.ended_at <= until)
    return [EndedRun(*row) for row in tx.execute(query)]


def move_on(tx: Connection, before: datetime, at: datetime) -> bool:
    """Note that ends are counted up to a time; say whether this was the next slice.

    The statement locks the fact, so that one process at a time adds to the hours.
    """
    mine = Meta.key == _COUNTED_TO, Meta.value == _number(before)
    return bool(tx.execute(update(Meta).where(*mine).values(value=_number(at))).rowcount)


def _number(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def add(tx: Connection, counted: Mapping[tuple[str, datetime], Figures]) -> None:
    """Add figures to hours; move_on() has locked them."""
    keys = sorted(counted)
    for start in range(0, len(keys), _CHUNK):
        chunk = keys[start : start + _CHUNK]
        stored, rows = _stored(tx, chunk), []
        for key in chunk:
            figures = stored.get(key, Figures())
            figures.merge(counted[key])
            rows.append(_values(*key, figures))
        tx.execute(_replacing(tx), rows)


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
