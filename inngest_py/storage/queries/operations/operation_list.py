"""The list of operations, one operation, and its results with the runs that they made."""

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import Connection, RowMapping, func, select

from ....domain.operations.operations import Outcome
from ...catalog.functions import FunctionRow
from ...db.columns import table_of
from ...db.keyset import Key
from ...operations.operations import OperationItemRow, OperationRow
from ...runs.runs import RunRow
from .. import paging
from ..paging import Order, Page, Position
from ..run_columns import phase, runs

_rows, _items = table_of(OperationRow), table_of(OperationItemRow)
_functions = table_of(FunctionRow)
_was = table_of(RunRow).alias("was")
NEWEST = Order((Key("id", _rows.c.id),))
# items are handled in the order of their ids
RESULTS = Order((Key("id", _items.c.item_id, descending=False),))
# so many results are read to count their statuses: 12 ms, and 46 if all of them are live
MOST_COUNTED = 10_000


def get(tx: Connection, operation_id: str) -> RowMapping | None:
    """Find an operation; None when there is none."""
    return tx.execute(select(_rows).where(_rows.c.id == operation_id)).mappings().first()


def page(tx: Connection, *, first: int, after: Position | None, states: Sequence[str] = ()) -> Page:
    """List operations, newest first, or those in some states."""
    query = select(_rows)
    if states:
        query = query.where(_rows.c.state.in_(list(states)))
    return paging.page_of(tx, query, NEWEST, first=first, after=after)


def results(
    tx: Connection,
    operation_id: str,
    *,
    first: int,
    after: Position | None = None,
    outcome: str | None = None,
    status: str | None = None,
) -> Page:
    """List what became of an operation's items.

    `was` is the status of an item that is a run, `status` the one of the run that was made of it;
    null when it has been deleted meanwhile. `phase` is what that run does if it has not ended.
    """
    query = (
        select(
            _items.c.item_id.label("id"),
            _items.c.run_id,
            _items.c.outcome,
            _items.c.reason,
            _items.c.at,
            _was.c.status.label("was"),
            runs.c.status.label("status"),
            phase.label("phase"),
            _functions.c.slug.label("function_slug"),
        )
        .outerjoin(_was, _was.c.id == _items.c.item_id)
        .outerjoin(runs, runs.c.id == _items.c.run_id)
        .outerjoin(
            _functions, _functions.c.id == func.coalesce(runs.c.function_id, _was.c.function_id)
        )
        .where(_items.c.operation_id == operation_id)
    )
    if outcome is not None:
        query = query.where(_items.c.outcome == outcome)
    if status is not None:
        query = query.where(runs.c.status == status)
    return paging.page_of(tx, query, RESULTS, first=first, after=after)


def statuses(tx: Connection, operation_id: str, *, by_phase: bool = False) -> Counter[str]:
    """Count the runs that an operation made by the status that they have now.

    Counts the last MOST_COUNTED of its items at most; a run that is deleted counts as `deleted`.
    With `by_phase`, runs that have not ended count by their phase.
    """
    made = (_items.c.operation_id == operation_id, _items.c.run_id.is_not(None))
    last = select(_items.c.run_id).where(*made).order_by(_items.c.item_id.desc())
    found = last.limit(MOST_COUNTED).subquery()
    now = (phase, runs.c.status) if by_phase else (runs.c.status,)
    each = select(func.coalesce(*now, "deleted").label("word")).select_from(found)
    each = each.outerjoin(runs, runs.c.id == found.c.run_id)
    words = each.subquery()
    query = select(words.c.word, func.count()).group_by(words.c.word)
    return Counter({row[0]: row[1] for row in tx.execute(query)})


def reasons(tx: Connection, operation_id: str) -> list[RowMapping]:
    """Count why items were skipped or failed, most frequent first: ten reasons at most."""
    number = func.count().label("number")
    found = (
        select(_items.c.outcome, _items.c.reason)
        .where(_items.c.operation_id == operation_id, _items.c.outcome != Outcome.SUCCEEDED.value)
        .limit(MOST_COUNTED)
        .subquery()
    )
    query = select(found.c.outcome, found.c.reason, number)
    query = query.group_by(found.c.outcome, found.c.reason).order_by(number.desc()).limit(10)
    return list(tx.execute(query).mappings())


def of_run(tx: Connection, run_id: str) -> RowMapping | None:
    """Find the operation that made a run, and what it made it of; None if none did."""
    query = select(_rows.c.id, _rows.c.name, _rows.c.kind, _items.c.item_id)
    query = query.join(_items, _items.c.operation_id == _rows.c.id)
    return tx.execute(query.where(_items.c.run_id == run_id).limit(1)).mappings().first()


def last_reruns(tx: Connection, run_ids: Sequence[str]) -> dict[str, RowMapping]:
    """Find the newest rerun of each of some runs, with the operation that made it, if one did."""
    if not run_ids:
        return {}
    newest = select(func.max(runs.c.id)).where(runs.c.original_run_id.in_(list(run_ids)))
    newest = newest.group_by(runs.c.original_run_id)
    query = (
        select(
            *(runs.c.id, runs.c.original_run_id, runs.c.status, phase.label("phase")),
            _items.c.operation_id,
        )
        .outerjoin(_items, _items.c.run_id == runs.c.id)
        .where(runs.c.id.in_(newest))
    )
    return {row["original_run_id"]: row for row in tx.execute(query).mappings()}
