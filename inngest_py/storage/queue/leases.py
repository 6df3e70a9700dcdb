"""Leases: extend them, and give items back when their holder stops or is gone."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    Connection,
    Text,
    Update,
    and_,
    bindparam,
    exists,
    func,
    or_,
    select,
    update,
)

from ...domain.runs.items import CELERY, CONNECT, SDK, Item, ItemKind, ItemState
from ..catalog.connections import ConnectionRow
from ..catalog.functions import FunctionRow
from ..db.columns import Timestamp, table_of
from ..db.row_types import GivenRow, Record
from ..db.session import skip_locked
from ..db.statements import ManyRows
from ..runs.runs import RunRow
from .queue_items import FREED, QueueItem

_items, _runs, _functions = table_of(QueueItem), table_of(RunRow), table_of(FunctionRow)
_connections = table_of(ConnectionRow)
_CONNECT_SCHEME = "ws"  # begins the URLs of functions that connected workers run
_ASKING = (ItemKind.START.value, ItemKind.EDGE.value)
# how long after the start of a server its workers get to connect again and to extend a lease, which
# they do every 30 s
WORKER_BACK = timedelta(seconds=45)
_lapsed = _items.c.lapses + 1
# a limit of whole runs counts the calls of these runs, too
_WITHOUT_SLOTS = and_(
    _items.c.slot1.is_(None),
    ~exists().where(_runs.c.id == _items.c.run_id, _runs.c.run_slot.is_not(None)),
)


def _extended(v: GivenRow) -> Update:
    until = bindparam("until", type_=Timestamp())
    mine = select(_items.c.id).where(_items.c.id == v.item, _items.c.lease_id == v.lease)
    # a Celery app that got the item just now, under the same lease id, has it for longer
    mine = mine.where(_items.c.lease_until < until)
    # a locked item is being written, by its holder or by the end of its run: waiting for it here
    # could let all other leases lapse
    free = mine.with_for_update(skip_locked=True, of=_items).cte("free")
    return update(_items).where(_items.c.id.in_(select(free.c.id))).values(lease_until=until)


_extend = ManyRows({"item": Text(), "lease": Text()}, _extended)


def extend(tx: Connection, held: Sequence[tuple[str, str]], until: datetime) -> None:
    """Extend the leases of items that a process still works on, given as (item id, lease id).

    A lease that has lapsed is extended as long as the item has not been given back. Skips locked
    items, and never shortens a lease.
    """
    if held:
        _extend.run(tx, held, until=until)


def extend_one(tx: Connection, item_id: str, until: datetime) -> None:
    """Extend the lease of one item, if it has one."""
    leased = (_items.c.id == item_id, _items.c.state == ItemState.LEASED.value)
    tx.execute(update(_items).where(*leased).values(lease_until=until))


def mark_held(tx: Connection, leased: Sequence[Item]) -> None:
    """Mark items as held, in the transaction that has leased them."""
    ids = [item.id for item in leased]
    held = {**FREED, "state": ItemState.HELD.value}
    tx.execute(update(_items).where(_items.c.id.in_(ids)).values(held))


def release(tx: Connection, worker: str, now: datetime) -> int:
    """Give back the items of a worker that stops; return how many there were.

    Items with slots stay leased: their calls are still running in the app, so nobody may take the
    slots before the leases end.
    """
    mine = (_items.c.state == ItemState.LEASED.value, _items.c.worker == worker)
    freed = update(_items).where(*mine, _WITHOUT_SLOTS).values(hint_at=now, **FREED)
    return tx.execute(freed).rowcount


def release_all(tx: Connection, now: datetime) -> int:
    """Give back all leased items, for a server that is the only process on this database.

    Items leased to SDKs, to connected workers and to Celery apps stay, since the apps may still be
    running. So do items with slots: see release().
    """
    leased = _items.c.state == ItemState.LEASED.value
    # what a connected worker has; it says soon over a new connection that it goes on
    left = update(_items).where(leased, _items.c.kind.in_(_ASKING), _of_connected_app())
    tx.execute(left.values(worker=CONNECT, lease_until=now + WORKER_BACK))
    freed = update(_items).where(
        leased,
        func.coalesce(_items.c.worker, "").not_in((SDK, CONNECT)),
        ~func.coalesce(_items.c.worker, "").startswith(CELERY),
        _WITHOUT_SLOTS,
    )
    return tx.execute(freed.values(hint_at=now, lapses=_lapsed, **FREED)).rowcount


def _of_connected_app() -> ColumnElement[bool]:
    return exists().where(
        _runs.c.id == _items.c.run_id,
        _functions.c.id == _runs.c.function_id,
        _functions.c.url.startswith(_CONNECT_SCHEME),
    )


def _may_be_heard_of() -> ColumnElement[bool]:
    """Say which items a process held that is gone, while a worker of it is connected elsewhere.

    SDKs extend a lease, or send an answer again that was lost, half a minute later.
    """
    then, now = _connections.alias(), _connections.alias()
    came_back = exists().where(
        then.c.gateway_id == _items.c.worker,
        now.c.instance_id == then.c.instance_id,
        now.c.connected_at > then.c.connected_at,
        then.c.closed_at.is_(None),
        now.c.closed_at.is_(None),
    )
    return and_(came_back, _of_connected_app())


def free_lapsed(
    tx: Connection, now: datetime, limit: int, patience: timedelta = timedelta(0)
) -> list[Record]:
    """Make items ready again whose lease has lapsed. Skips locked items.

    What a connected worker may still have, as _may_be_heard_of() says, is left for so much longer.
    Returns each item's id, run, groups of slots, kind, and how many leases have lapsed.
    """
    lapsed = skip_locked(
        tx,
        select(_items.c.id)
        .where(
            _items.c.state == ItemState.LEASED.value,
            _items.c.lease_until < now,
            or_(_items.c.lease_until < now - patience, ~_may_be_heard_of()),
        )
        .order_by(_items.c.lease_until)
        .limit(limit),
    )
    freed = update(_items).where(_items.c.id.in_(lapsed))
    freed = freed.values(hint_at=now, gate=None, lapses=_lapsed, **FREED)
    names = ("id", "run_id", "slot1", "slot2", "kind", "lapses")
    columns = [_items.c[name] for name in names]
    return list(tx.execute(freed.returning(*columns)))


def delay(tx: Connection, ids: Sequence[str], until: datetime) -> None:
    """Make ready items due later."""
    if ids:
        chosen = (_items.c.id.in_(ids), _items.c.state == ItemState.READY.value)
        tx.execute(update(_items).where(*chosen).values(due_at=until, hint_at=until))


def give_back(tx: Connection, items: Sequence[Item], hint_at: datetime) -> None:
    """Give back items that this transaction has leased, for a later claim."""
    ids = [item.id for item in items]
    freed = {**FREED, "hint_at": hint_at, "gate": None}
    tx.execute(update(_items).where(_items.c.id.in_(ids)).values(freed))


def count_leased(tx: Connection, worker: str) -> int:
    """Count the leases of a worker."""
    query = select(func.count()).where(
        _items.c.state == ItemState.LEASED.value, _items.c.worker == worker
    )
    return tx.execute(query).scalar_one()


_held_columns = (
    _items.c.id,
    _items.c.run_id,
    _items.c.lease_id,
    _items.c.generation,
    _items.c.attempt,
    _items.c.current,
)


_hold_one = select(*_held_columns).where(_items.c.id == bindparam("id")).with_for_update()


_hold = (
    select(*_held_columns)
    .where(_items.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(_items.c.id)
    .with_for_update()
)


def lock(tx: Connection, ids: Sequence[str]) -> dict[str, Record]:
    """Lock items against other claims, by id. Items that are gone are missing in the result.

    Returns each item's run, lease (None without one), generation, attempt and stack position.
    """
    if len(ids) == 1:  # the usual case; IN costs 0.2 ms more, most of it to write its list
        found = tx.execute(_hold_one, {"id": ids[0]})
    else:
        found = tx.execute(_hold, {"ids": list(ids)})
    return {row.id: row for row in found}


_restart = (
    update(_items)
    .where(_items.c.id.in_(bindparam("ids", expanding=True)))
    .values(attempt=0, current=None, lapses=0)
)


def restart_attempts(tx: Connection, ids: Sequence[str]) -> None:
    """Count the items' attempts from 0 again, since their runs have made progress."""
    if ids:
        tx.execute(_restart, {"ids": list(ids)})


def attempt_of(tx: Connection, item: Item) -> int | None:
    """Read the number of a leased item's attempt; None when the lease is lost."""
    query = select(_items.c.attempt).where(
        _items.c.id == item.id, _items.c.lease_id == item.lease_id
    )
    return tx.execute(query).scalar()
