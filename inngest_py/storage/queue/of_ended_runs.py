"""Delete the items of runs that have ended, leased ones included.

Items of orphaned calls that hold slots stay: see engine/work/orphaned_calls.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, bindparam, delete, not_, or_

from ...domain.errors import LeaseLost
from ...domain.flow.slots import PREFIXES
from ...domain.runs.items import Item, ItemKind, ItemState
from ..db.columns import table_of
from ..db.dialects import is_sqlite
from ..db.row_types import Record
from ..db.statements import PerRow, given
from .queue_items import QueueItem

_items = table_of(QueueItem)

# such a call is still running in the app, so it keeps its slot until it is over
_ORPHANED = and_(_items.c.state == ItemState.LEASED.value, _items.c.slot1.is_not(None))
_told = (
    _items.c.id,
    _items.c.lease_id,
    _items.c.kind,
    _items.c.run_id,
    _items.c.step,
    _items.c.step_name,
    _items.c.attempt,
    _items.c.queued_at,
    _items.c.due_at,
    _items.c.gate,
    _items.c.slot1,
    _items.c.slot2,
)
_drop_runs = (
    delete(_items)
    .where(
        _items.c.run_id.in_(bindparam("runs", expanding=True)),
        or_(not_(_ORPHANED), _items.c.id.in_(bindparam("held", expanding=True))),
    )
    .returning(*_told)
)
_one = given(["run", "held"])
_drop_run = PerRow(
    delete(_items)
    .where(_items.c.run_id == _one["run"], or_(not_(_ORPHANED), _items.c.id == _one["held"]))
    .returning(*_told),
    ["run", "held"],
)
_drop_tasks = (
    delete(_items)
    .where(
        _items.c.run_id == bindparam("run"),
        _items.c.id != bindparam("failed"),
        _items.c.kind.in_((ItemKind.TASK.value, ItemKind.EDGE.value)),
        not_(_ORPHANED),
    )
    .returning(*_told)
)


@dataclass(frozen=True, slots=True)
class Dropped:
    """What was queued for runs that have ended.

    `waited` holds the runs that had waits. `freed` holds, by run, the groups whose next items may
    be let in: an item of the run held a slot of them, had been let in, or waited. `cut` holds the
    rows of steps that were asleep, queued or being executed; `leased` holds the rows that somebody
    worked on.
    """

    waited: set[str]
    freed: dict[str, set[str]]
    cut: Sequence[Record]
    leased: Sequence[Record]


def drop_runs(tx: Connection, run_ids: Sequence[str], held: Sequence[Item] = ()) -> Dropped:
    """Delete the items of runs that have ended, leased ones included.

    Leased items with slots stay, except the `held` ones, whose own results end their runs. Raises
    LeaseLost when the lease of a `held` item is lost.
    """
    ids = [item.id for item in held]
    by_run = {item.run_id: item.id for item in held}
    if is_sqlite(tx) and len(by_run) == len(ids):
        rows: Sequence[Record] = _drop_run.run(tx, [(one, by_run.get(one)) for one in run_ids])
    else:
        rows = tx.execute(_drop_runs, {"runs": list(run_ids), "held": ids}).all()
    gone = {(row.id, row.lease_id) for row in rows}
    if any((item.id, item.lease_id) not in gone for item in held):
        raise LeaseLost
    return _dropped(rows, held)


def drop_tasks(tx: Connection, run_id: str, failed: Item) -> Dropped:
    """Delete the tasks and joins of a canvas that is not run any further; `failed` stays.

    So do leased items with slots, and the run's timers.
    """
    rows = tx.execute(_drop_tasks, {"run": run_id, "failed": failed.id}).all()
    return _dropped(rows, ())


def _dropped(rows: Sequence[Record], held: Sequence[Item]) -> Dropped:
    freed: dict[str, set[str]] = {}
    for row in rows:
        groups = {row.slot1, row.slot2} if row.lease_id else {row.gate}
        own = {group for group in groups if group and group.startswith(PREFIXES)}
        freed.setdefault(row.run_id, set()).update(own)
    waits, own = ItemKind.WAIT.value, {item.id for item in held}
    waited = {row.run_id for row in rows if row.kind == waits}
    cut = [row for row in rows if row.step and row.kind != waits and row.id not in own]
    leased = [row for row in rows if row.lease_id is not None and row.id not in own]
    return Dropped(waited, freed, cut, leased)
