"""Claiming: lease items, and read what their next requests need of their runs."""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Text,
    Update,
    and_,
    bindparam,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY

from ...domain.runs.items import RUNLESS, Item, ItemKind, ItemState
from ...domain.runs.runs import RunStatus
from ..catalog.functions import FunctionRow
from ..db.columns import table_of, utc
from ..db.dialects import pick
from ..db.row_types import Query, Record
from ..db.statements import PerRow, PostgresStatement, given, values
from ..events.events import EventRow
from ..runs.runs import RunRow, may_begin
from . import load_runs
from .load_runs import Loaded
from .queue_items import QueueItem

_items, _runs = table_of(QueueItem), table_of(RunRow)
_columns = [
    _items.c[name].label(f"item_{name}")
    for name in (
        "id",
        "kind",
        "run_id",
        "lease_id",
        "attempt",
        "queued_at",
        "due_at",
        "step",
        "step_name",
        "current",
        "opts",
        "generation",
        "answer",
        "rank_us",
        "gate",
        "lapses",
    )
]


class Claimed(NamedTuple):
    """Leased items, and their runs as they were before the claim.

    The runs in `begun` have already been moved to running in this transaction.
    """

    items: list[Item]
    runs: Loaded
    begun: set[str]


def claim(
    tx: Connection,
    ids: Sequence[str],
    *,
    lease_id: str,
    now: datetime,
    lease: timedelta,
    worker: str,
) -> Claimed:
    """Lease those of the items that are ready and due."""
    if not ids:
        return Claimed([], {}, set())
    how = (lease_id, now + lease, worker, now, _generation())
    return pick(tx, sqlite=_by_reading, postgres=_in_one_message)(tx, ids, how)


def _in_one_message(tx: Connection, ids: Sequence[str], how: tuple[object, ...]) -> Claimed:
    found = _claim.run(tx, {"ids": list(ids), **values(_HOW, how)})
    whole = [row for row in found if None not in (row.id, row.event, row.function_slug)]
    runs, begun = load_runs.built(tx, whole), {row.id for row in whole if row.begun}
    for run_id in begun:
        run, revision = runs[run_id]
        runs[run_id] = replace(run, status=RunStatus.QUEUED, started_at=None), revision
    return Claimed([item_of(row) for row in found], runs, begun)


def _generation() -> int:
    """Make the number of a request, a random one.

    Adding one to the row's number could give the same number twice. A crash of the database may
    undo a claim (session.commit_soon) whose request has been sent and still reports steps.
    """
    return 1 + secrets.randbelow(10**9)


def _by_reading(tx: Connection, ids: Sequence[str], how: tuple[object, ...]) -> Claimed:
    """Claim on SQLite, which has no round trips to save."""
    items = [item_of(row) for row in _leasing.run(tx, [(item_id, *how) for item_id in ids])]
    ids = sorted({item.run_id for item in items if item.kind not in RUNLESS})
    return Claimed(items, load_runs.load(tx, ids) if ids else {}, set())


def _leased(chosen: ColumnElement[bool]) -> Update:
    ready = and_(_items.c.state == ItemState.READY.value, _items.c.due_at <= _given["now"])
    return (
        update(_items)
        .where(chosen, ready)
        .values(
            state=ItemState.LEASED.value,
            lease_id=_given["lease"],
            lease_until=_given["until"],
            worker=_given["holder"],
            generation=_given["generation"],
        )
    )


def _begun(ours: ColumnElement[bool]) -> Update:
    """Begin runs that seem to have no limits, as runs.begin() does.

    runs.undo_begin() undoes that when something delays a run after all.
    """
    starting = select(_items.c.run_id).where(
        ours, _items.c.kind == ItemKind.START.value, _items.c.gate.is_(None)
    )
    # an array: with a join, PostgreSQL may read all runs to find these
    chosen = _runs.c.id == func.any(func.array(starting.scalar_subquery()))
    free = may_begin(and_(chosen, _runs.c.slots.is_(None)))
    locked = free.with_for_update(skip_locked=True, key_share=True).cte("free")
    begun = update(_runs).where(_runs.c.id.in_(select(locked.c.id)))
    return begun.values(status=RunStatus.RUNNING.value, started_at=_given["now"])


def _looked(ours: ColumnElement[bool]) -> Query:
    """Read items and runs in a statement of its own.

    The first statement may have waited for writers of the runs: its snapshot is too old.
    """
    begun = and_(
        _items.c.kind == ItemKind.START.value,
        _runs.c.status == RunStatus.RUNNING.value,
        _runs.c.started_at == _given["now"],
    )
    return (
        select(*_columns, *load_runs.LOADED, begun.label("begun"))
        .select_from(_items)
        .outerjoin(_runs, _runs.c.id == _items.c.run_id)
        .outerjoin(EventRow, EventRow.id == _runs.c.event_id)
        .outerjoin(FunctionRow, FunctionRow.id == _runs.c.function_id)
        .where(ours)
    )


_HOW = ("lease", "until", "holder", "now", "generation")
_given = given(("item", *_HOW))
_leasing = PerRow(_leased(_items.c.id == _given["item"]).returning(*_columns), ("item", *_HOW))
_wanted = _items.c.id == func.any(bindparam("ids", None, type_=ARRAY(Text())))
_ours = and_(_wanted, _items.c.lease_id == _given["lease"])
_claim = PostgresStatement(_leased(_wanted), _begun(_ours), _looked(_ours))


def item_of(row: Record) -> Item:
    """Make the item of a row whose columns begin with `item_`."""
    return Item(
        id=row.item_id,
        kind=ItemKind(row.item_kind),
        run_id=row.item_run_id,
        lease_id=row.item_lease_id,
        attempt=row.item_attempt,
        queued_at=utc(row.item_queued_at),
        due_at=utc(row.item_due_at),
        step=row.item_step,
        step_name=row.item_step_name,
        current=row.item_current,
        opts=row.item_opts,
        generation=row.item_generation,
        answer=row.item_answer,
        rank_us=row.item_rank_us,
        gate=row.item_gate,
        lapses=row.item_lapses,
    )
