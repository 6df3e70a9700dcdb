"""What the runs of functions come to, by their roll-ups and the starts and ends after them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sqlalchemy import ColumnElement, Connection, func, select

from ....domain.reports import roll_ups
from ....domain.reports.roll_ups import BegunRun, Bin, EndedRun, Figures, Span
from ...catalog.functions import FunctionRow
from ...db.columns import table_of
from ...db.row_types import AnyColumn, Record
from ...runs import function_hours
from ...runs.function_hours import FunctionHour
from ...runs.runs import RunRow

_hours, _runs, _functions = table_of(FunctionHour), table_of(RunRow), table_of(FunctionRow)
_ended = [_runs.c[name] for name in EndedRun._fields]
_begun = [_runs.c[name] for name in BegunRun._fields]
T = TypeVar("T")
_LOOKS = 3
MOST_LATER = 5000  # starts, and ends, after the roll-ups that one look reads


@dataclass(frozen=True, slots=True)
class Counted:
    """Figures by function; `counted_to` is None if all ends are counted, else the last one's time.

    Ends are left out for a while after the upgrade of a database that had no roll-ups.
    """

    of: dict[str, Figures]
    counted_to: datetime | None


@dataclass(frozen=True, slots=True)
class History:
    """Figures of a function by hour; `counted_to` as in Counted, of starts, too."""

    by_hour: dict[datetime, Figures]
    counted_to: datetime | None


@dataclass(frozen=True, slots=True)
class SpanFigures:
    """Figures of a function over a span and in its parts; `counted_to` as in History."""

    total: Bin
    parts: list[Bin]
    counted_to: datetime | None


def of_span(tx: Connection, function_id: str, span: Span, now: datetime) -> SpanFigures:
    """Return the figures of a function over a span that ends with the present hour."""
    first = roll_ups.first_hour(now, span.hours)
    found = history(tx, function_id, first)
    total = Figures()
    for figures in found.by_hour.values():
        total.merge(figures)
    parts = roll_ups.bins(found.by_hour, now, span)
    return SpanFigures(Bin(first, total), parts, found.counted_to)


def counts(tx: Connection, since: datetime, most: int = MOST_LATER) -> Counted:
    """Count the ended runs of all functions from an hour on.

    Of durations it has only those of ends that no roll-up has yet: see add_durations().
    """
    names = ("completed", "failed", "cancelled")
    query = select(_hours.c.function_id, *[func.sum(_hours.c[name]) for name in names])
    query = query.where(_hours.c.hour >= since).group_by(_hours.c.function_id)

    def look() -> Counted:
        found = {
            row[0]: Figures(int(row[1]), int(row[2]), int(row[3])) for row in tx.execute(query)
        }
        by_hour, counted_to = _later(tx, since, most)
        for (function_id, _), figures in by_hour.items():
            found.setdefault(function_id, Figures()).merge(figures)
        return Counted(found, counted_to)

    return _steady(tx, look)


def history(tx: Connection, function_id: str, since: datetime, most: int = MOST_LATER) -> History:
    """Return the figures of a function by hour, from an hour on."""
    mine = _hours.c.function_id == function_id, _hours.c.hour >= since

    def look() -> History:
        found = {}
        for row in tx.execute(select(_hours).where(*mine)):
            counts = row.completed, row.failed, row.cancelled
            figures = found[row.hour] = Figures(*counts, begun=row.begun)
            figures.run_ms.merge_text(row.run_ms)
            figures.queue_ms.merge_text(row.queue_ms)
        by_hour, ends_to = _later(tx, since, most)
        for (of, hour), figures in by_hour.items():
            if of == function_id:
                found.setdefault(hour, Figures()).merge(figures)
        begun, starts_to = _later_begun(tx, since, most)
        for (of, hour), runs in begun.items():
            if of == function_id:
                found.setdefault(hour, Figures()).begun += runs
        return History(found, min((to for to in (ends_to, starts_to) if to), default=None))

    return _steady(tx, look)


def _steady(tx: Connection, look: Callable[[], T]) -> T:
    """Look again if upkeep has counted runs meanwhile: they would be there twice, or not at all."""
    after = _counted_to(tx)
    for _ in range(_LOOKS):
        found = look()
        before, after = after, _counted_to(tx)
        if before == after:
            break
    return found


def _counted_to(tx: Connection) -> tuple[datetime | None, ...]:
    counts = function_hours.ENDS, function_hours.STARTS
    return tuple(function_hours.counted_to(tx, one) for one in counts)


def _later(
    tx: Connection, since: datetime, most: int
) -> tuple[dict[tuple[str, datetime], Figures], datetime | None]:
    """Count the first ends that no roll-up has yet, by function and hour, and where that stops."""
    rows, counted_to = _read_later(tx, function_hours.ENDS, _ended, since, most)
    return roll_ups.by_hour(EndedRun(*row) for row in rows), counted_to


def _later_begun(
    tx: Connection, since: datetime, most: int
) -> tuple[dict[tuple[str, datetime], int], datetime | None]:
    """Count the first starts that no roll-up has yet; else as _later()."""
    rows, counted_to = _read_later(tx, function_hours.STARTS, _begun, since, most)
    return roll_ups.begun_by_hour(BegunRun(*row) for row in rows), counted_to


def _read_later(
    tx: Connection,
    of: function_hours.Count,
    columns: Sequence[AnyColumn],
    since: datetime,
    most: int,
) -> tuple[Sequence[Record], datetime | None]:
    """Read the first runs that no roll-up has yet, and where that stops; None if these are all."""
    query = select(*columns).where(of.at >= since)
    after = function_hours.counted_to(tx, of)
    if after is not None:
        query = query.where(of.at > after)
    rows = tx.execute(query.order_by(of.at).limit(most)).all()
    return rows, rows[-1][-1] if len(rows) == most else None


def add_durations(
    tx: Connection, found: dict[str, Figures], since: datetime, of: Sequence[str] | None
) -> None:
    """Add the durations of running to what counts() found: of some functions, or of all."""
    query = select(_hours.c.function_id, _hours.c.run_ms).where(_hours.c.hour >= since)
    if of is not None:
        query = query.where(_hours.c.function_id.in_(list(of)))
    for function_id, text in tx.execute(query):
        if function_id in found:
            found[function_id].run_ms.merge_text(text)


def last_runs(tx: Connection) -> dict[str, str]:
    """Return the newest run of each function, one look at an index for each."""
    newest: ColumnElement[str] = (
        select(func.max(_runs.c.id))
        .where(_runs.c.function_id == _functions.c.id)
        .correlate(_functions)
        .scalar_subquery()
    )
    rows = tx.execute(select(_functions.c.id, newest)).all()
    return {row[0]: row[1] for row in rows if row[1] is not None}
