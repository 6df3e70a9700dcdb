"""Index the runs from before a search key was declared, or delete the values of a removed one.

A walk goes down the ids of the function's runs, newest first, in chunks. Each chunk and the walk's
place are one transaction, under the lock of the key's row: a kill repeats nothing. Transactions
that were under way when the key was declared may have made runs without it, and be committed up to
a minute later; so the walk looks once more at the runs of that time.
"""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Connection, RowMapping

from ... import observe
from ...domain.functions.search_keys import SearchKeys
from ...domain.values import canonical, ids, payload_paths
from ...storage.catalog import search_keys as rows
from ...storage.catalog.search_keys import WalkState
from ...storage.db.keyset import SKEW
from ...storage.db.row_types import RowValues
from ...storage.operations import run_walks
from ...storage.runs import run_search_keys
from ..intake.search_keys import rows_of
from ..runtime.context import Context

EVERY = timedelta(seconds=2)
_CHUNK = 300
_MOST_CHARS = 4_000_000  # of the events of a chunk, or those of one run
_LATE = timedelta(seconds=90)  # longer than a transaction lasts
_MOST_COUNTED = 10_000_000


def walk(ctx: Context, most: int = _CHUNK) -> bool:
    """Do one chunk of a walk that is due; say whether there was one.

    Reads one index entry while no walk is under way.
    """
    now = ctx.real_now()
    with ctx.db.reading() as tx:
        first = rows.first_due(tx)
    if first is None or first > now:
        return False
    _count(ctx)
    with ctx.db.transaction() as tx:
        key = rows.take_due(tx, now)
        if key is None:
            return False
        ended = _chunk(tx, key, most)
        if not ended:
            return True
        done = _next_part(tx, ctx, key)
    if done:
        removed, about = key["path"] is None, {"function_id": key["function_id"]}
        name = key["name"]
        observe.event("search_key.removed" if removed else "search_key.indexed", key=name, **about)
    return True


def _count(ctx: Context) -> None:
    """Count the runs of a walk before its first chunk, without a lock: that may take a second."""
    with ctx.db.reading() as tx:
        key = rows.not_counted(tx, ctx.real_now())
        if key is None:
            return
        total = run_walks.count(tx, key["function_id"], key["before"], _MOST_COUNTED)
    with ctx.db.transaction() as tx:
        rows.set_total(tx, key, total)


def _chunk(tx: Connection, key: RowMapping, most: int) -> bool:
    """Write the values of the next runs; say whether the walk has come to its end."""
    lowest = None
    if key["state"] == WalkState.CHECKING.value:
        lowest = ids.lowest_ulid(key["declared_at"], -_LATE)
    changes: RowValues = {}
    found = run_walks.below(tx, key["function_id"], key["before"], lowest, most)
    is_last = len(found) < most
    if found:
        taken = found if key["path"] is None else found[: _fitting(run_walks.sizes(tx, found))]
        is_last, found = is_last and len(taken) == len(found), taken
        run_ids = [row["id"] for row in found]
        values = _values(tx, key, found)
        run_search_keys.drop(tx, run_ids, key["name"])  # the first write: it locks SQLite
        run_search_keys.add(tx, values)
        changes = {"before": run_ids[-1]}
    if key["state"] == WalkState.WALKING.value:
        changes |= {"done": key["done"] + len(found)}
    rows.update(tx, key, changes | {"state": key["state"]})
    return is_last


def _fitting(sizes: Sequence[int]) -> int:
    """Say how many of the first runs are a chunk: at least one."""
    total = 0
    for place, size in enumerate(sizes):
        total += size
        if total > _MOST_CHARS:
            return max(place, 1)
    return len(sizes)


def _values(tx: Connection, key: RowMapping, found: list[RowMapping]) -> list[RowValues]:
    if key["path"] is None:
        return []
    keys: SearchKeys = {key["name"]: payload_paths.parse(key["path"], key["name"])}
    kept = run_walks.keep(tx, [row["id"] for row in found])
    payloads = run_walks.payloads(tx, found)
    made: list[RowValues] = []
    for run_id in sorted(kept):
        events = (canonical.loads(payload) for payload in payloads.get(run_id, ()))
        made += rows_of(keys, run_id, events)
    return made


def _next_part(tx: Connection, ctx: Context, key: RowMapping) -> bool:
    """Begin the second look, or end the walk; say whether it has ended."""
    if key["state"] == WalkState.WALKING.value:
        checking: RowValues = {
            "state": WalkState.CHECKING.value,
            "before": ids.lowest_ulid(key["declared_at"], SKEW),
            "due_at": ctx.real_now() + _LATE,
        }
        rows.update(tx, key, checking)
        return False
    if key["path"] is None:
        rows.remove(tx, key)
    else:
        rows.update(tx, key, {"state": WalkState.DONE.value, "due_at": None})
    return True
