"""Pausing: what a function's pause writes on its row, its runs and their items.

The function's row says whether it is paused; claims read that. The marks on runs and items follow
in transactions of their own, and only spare work: see engine/admin/pause_function.py for the races.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, case, literal, select, update

from ...domain.runs.items import ItemState
from ...domain.runs.runs import LIVE
from ..catalog.functions import Function
from ..db.columns import Timestamp, table_of
from ..runs.runs import RunRow
from .queue_items import QueueItem

_functions, _runs, _items = table_of(Function), table_of(RunRow), table_of(QueueItem)
_LIVE = [status.value for status in LIVE]


def pause(tx: Connection, function_id: str, events: str, now: datetime) -> None:
    """Mark a function paused; `events` says what becomes of new ones. Keeps the first time."""
    paused_at = case(
        (_functions.c.paused.is_(None), literal(now, Timestamp())), else_=_functions.c.paused_at
    )
    marked = update(_functions).where(_functions.c.id == function_id)
    tx.execute(marked.values(paused=events, paused_at=paused_at))


def resume(tx: Connection, function_id: str) -> None:
    """Unmark a function, and note that its held items are still to be given back."""
    marked = update(_functions).where(_functions.c.id == function_id)
    tx.execute(marked.values(paused=None, paused_at=None, resuming=True))


def resumed(tx: Connection, function_id: str) -> None:
    """Note that nothing of the function is held any more."""
    still = (_functions.c.id == function_id, _functions.c.paused.is_(None))
    tx.execute(update(_functions).where(*still).values(resuming=False))


def resuming(tx: Connection) -> list[str]:
    """List the functions whose held items are still to be given back."""
    query = select(_functions.c.id).where(
        _functions.c.resuming.is_(True), _functions.c.paused.is_(None)
    )
    return list(tx.execute(query).scalars())


def is_paused(tx: Connection, function_id: str) -> bool:
    """Say whether the function is paused, and keep that so: locks its row."""
    query = select(_functions.c.paused).where(_functions.c.id == function_id)
    # the weaker lock: new runs of the function refer to its row
    return tx.execute(query.with_for_update(key_share=True)).scalar() is not None


def live_runs(tx: Connection, function_id: str, after: str, limit: int) -> list[str]:
    """List the function's next runs by id that have not ended."""
    mine = (_runs.c.function_id == function_id, _runs.c.status.in_(_LIVE), _runs.c.id > after)
    query = select(_runs.c.id).where(*mine).order_by(_runs.c.id).limit(limit)
    return list(tx.execute(query).scalars())


def mark_runs(tx: Connection, run_ids: Sequence[str], *, held: bool) -> None:
    """Say whether the runs are held; waits for who writes them, and locks them by id."""
    mine = _runs.c.id.in_(list(run_ids))
    tx.execute(select(_runs.c.id).where(mine).order_by(_runs.c.id).with_for_update())
    tx.execute(update(_runs).where(mine).values(held=held))


def _locked(tx: Connection, run_ids: Sequence[str], states: Sequence[ItemState]) -> list[str]:
    """Lock items by id, waiting for who is claiming them; gives those still in these states."""
    query = (
        select(_items.c.id)
        .where(_items.c.run_id.in_(list(run_ids)), _items.c.state.in_(list(states)))
        .order_by(_items.c.id)
        .with_for_update()
    )
    return list(tx.execute(query).scalars())


def hold(tx: Connection, run_ids: Sequence[str]) -> None:
    """Hold the runs' ready items; leased ones are calls in flight."""
    ids = _locked(tx, run_ids, [ItemState.READY])
    tx.execute(update(_items).where(_items.c.id.in_(ids)).values(state=ItemState.HELD.value))


def give_back(tx: Connection, run_ids: Sequence[str], now: datetime) -> None:
    """Make the runs' held items ready again, those overdue due now."""
    # ready ones are locked, too: a claim that read the pause may be about to hold one of them
    ids = _locked(tx, run_ids, [ItemState.READY, ItemState.HELD])
    due_at = case((_items.c.due_at < now, literal(now, Timestamp())), else_=_items.c.due_at)
    freed = {"state": ItemState.READY.value, "due_at": due_at, "hint_at": due_at}
    held = (_items.c.id.in_(ids), _items.c.state == ItemState.HELD.value)
    tx.execute(update(_items).where(*held).values(freed))
