"""Pausing: what a function's pause writes on its row, its runs and their items.

The function's row says whether it is paused, and claims read that. Runs and items are marked later,
in transactions of their own, only to save work: see engine/admin/pause_function.py for the races.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, case, literal, select, update

from ...domain.runs.items import ItemState
from ...domain.runs.runs import LIVE
from ..catalog.functions import FunctionRow
from ..db.columns import Timestamp, table_of
from ..runs.runs import RunRow
from .queue_items import QueueItem

_functions, _runs, _items = table_of(FunctionRow), table_of(RunRow), table_of(QueueItem)
_LIVE = [status.value for status in LIVE]


def pause(tx: Connection, function_id: str, events: str, now: datetime) -> None:
    """Mark a function as paused; `events` says what happens to new events.

    The time of an earlier pause stays.
    """
    paused_at = case(
        (_functions.c.paused.is_(None), literal(now, Timestamp())), else_=_functions.c.paused_at
    )
    marked = update(_functions).where(_functions.c.id == function_id)
    tx.execute(marked.values(paused=events, paused_at=paused_at))


def resume(tx: Connection, function_id: str) -> None:
    """Remove a function's pause, and note that its held items have to be given back."""
    marked = update(_functions).where(_functions.c.id == function_id)
    tx.execute(marked.values(paused=None, paused_at=None, resuming=True))


def resumed(tx: Connection, function_id: str) -> None:
    """Note that no item of the function is held any more."""
    still = (_functions.c.id == function_id, _functions.c.paused.is_(None))
    tx.execute(update(_functions).where(*still).values(resuming=False))


def resuming(tx: Connection) -> list[str]:
    """List the functions whose held items have to be given back."""
    query = select(_functions.c.id).where(
        _functions.c.resuming.is_(True), _functions.c.paused.is_(None)
    )
    return list(tx.execute(query).scalars())


def is_paused(tx: Connection, function_id: str) -> bool:
    """Say whether the function is paused, and lock its row so that this stays so."""
    query = select(_functions.c.paused).where(_functions.c.id == function_id)
    # the weaker lock: the stronger one would make new runs wait, which refer to the row
    return tx.execute(query.with_for_update(key_share=True)).scalar() is not None


def live_runs(tx: Connection, function_id: str, after: str, limit: int) -> list[str]:
    """List the function's runs that have not ended, by id, after the id `after`."""
    mine = (_runs.c.function_id == function_id, _runs.c.status.in_(_LIVE), _runs.c.id > after)
    query = select(_runs.c.id).where(*mine).order_by(_runs.c.id).limit(limit)
    return list(tx.execute(query).scalars())


def mark_runs(tx: Connection, run_ids: Sequence[str], *, held: bool) -> None:
    """Mark runs as held or not. Locks them by id, waiting for transactions that write them."""
    mine = _runs.c.id.in_(list(run_ids))
    tx.execute(select(_runs.c.id).where(mine).order_by(_runs.c.id).with_for_update())
    tx.execute(update(_runs).where(mine).values(held=held))


def _locked(tx: Connection, run_ids: Sequence[str], states: Sequence[ItemState]) -> list[str]:
    """Lock items by id, waiting for claims; return those that are still in these states."""
    query = (
        select(_items.c.id)
        .where(_items.c.run_id.in_(list(run_ids)), _items.c.state.in_(list(states)))
        .order_by(_items.c.id)
        .with_for_update()
    )
    return list(tx.execute(query).scalars())


def hold(tx: Connection, run_ids: Sequence[str]) -> None:
    """Mark the runs' ready items as held. Leased ones stay: their calls are in flight."""
    ids = _locked(tx, run_ids, [ItemState.READY])
    tx.execute(update(_items).where(_items.c.id.in_(ids)).values(state=ItemState.HELD.value))


def give_back(tx: Connection, run_ids: Sequence[str], now: datetime) -> None:
    """Make the runs' held items ready again; those that are overdue become due now."""
    # ready items are locked, too: a claim that read the pause may be about to mark one as held
    ids = _locked(tx, run_ids, [ItemState.READY, ItemState.HELD])
    due_at = case((_items.c.due_at < now, literal(now, Timestamp())), else_=_items.c.due_at)
    freed = {"state": ItemState.READY.value, "due_at": due_at, "hint_at": due_at}
    held = (_items.c.id.in_(ids), _items.c.state == ItemState.HELD.value)
    tx.execute(update(_items).where(*held).values(freed))
