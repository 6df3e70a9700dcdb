"""Stranded runs: they have not ended, and no item, wait or run will continue them.

There are none unless something is wrong: every transaction that consumes the last item of a run
queues the next one or ends the run. Items of rules, such as a run's time-outs, do not continue it.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, Select, bindparam, delete, exists, select, update

from ...domain.runs.items import DRIVING, ItemKind
from ...domain.runs.runs import LIVE, RunStatus
from ...domain.steps.waits import WaitKind
from ..db.columns import table_of
from ..db.session import skip_locked
from ..events.waits import WaitRow
from ..queue.queue_items import QueueItem
from ..runs.runs import RunRow

_items, _waits, _runs = table_of(QueueItem), table_of(WaitRow), table_of(RunRow)
# items of a kind that only a newer version knows count, too: they may continue their run
_DRIVING = _items.c.kind.not_in(sorted(kind.value for kind in set(ItemKind) - DRIVING))
_LIVE = [status.value for status in LIVE]

_driven = select(
    exists().where(_items.c.run_id == bindparam("run"), _DRIVING, _items.c.id != bindparam("but"))
)


def has_other_driving_item(tx: Connection, run_id: str, but: str) -> bool:
    """Say whether a run has an item that will continue it, other than the one with the id `but`."""
    return bool(tx.execute(_driven, {"run": run_id, "but": but}).scalar())


_live = (
    select(_runs.c.id)
    .where(_runs.c.status == bindparam("status"), _runs.c.id > bindparam("after"))
    .order_by(_runs.c.id)
    .limit(bindparam("limit"))
    .subquery("live")
)
_look = select(_live.c.id, exists().where(_items.c.run_id == _live.c.id, _DRIVING))


def scan(tx: Connection, status: RunStatus, after: str, limit: int) -> tuple[list[str], str]:
    """Look at up to `limit` runs of a status, after an id, with two index look-ups each.

    Returns the ids of stranded runs, and the last id looked at; "" when there are no more runs.
    """
    given = {"status": status.value, "after": after, "limit": limit}
    rows = tx.execute(_look, given).all()
    last = max(row[0] for row in rows) if len(rows) == limit else ""
    return [row[0] for row in rows if not row[1]], last


def _alone(tx: Connection) -> Select[str]:
    stranded = ~exists().where(_items.c.run_id == _runs.c.id, _DRIVING)
    chosen = _runs.c.id.in_(bindparam("ids", expanding=True))
    query = select(_runs.c.id).where(chosen, _runs.c.status.in_(_LIVE), stranded)
    return skip_locked(tx, query.order_by(_runs.c.id))


def release(tx: Connection, ids: Sequence[str]) -> dict[str, RunStatus]:
    """Lock those of the runs that are still stranded, and delete what they wait for in vain.

    That is the rest of a group, and waits whose items are gone. Skips locked runs. Returns the
    statuses.
    """
    freed = update(_runs).where(_runs.c.id.in_(_alone(tx))).values(pending=None)
    rows = tx.execute(freed.returning(_runs.c.id, _runs.c.status), {"ids": list(ids)}).all()
    if rows:
        gone = delete(_waits).where(
            _waits.c.run_id.in_([row[0] for row in rows]),
            _waits.c.kind != WaitKind.CANCEL.value,
        )
        tx.execute(gone)
    return {row[0]: RunStatus(row[1]) for row in rows}
