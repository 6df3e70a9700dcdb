"""Declare search keys of functions: fields of events by which their runs are found.

The function's row has the keys from the declaration on, so each run that is made later has its
values. Upkeep indexes the runs from before: see search_key_walk.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, RowMapping

from ... import observe
from ...domain.functions import search_keys as rules
from ...domain.functions.search_keys import Pair, SearchKeys
from ...domain.values import ids
from ...storage.catalog import functions as function_rows
from ...storage.catalog import search_keys as rows
from ...storage.catalog.search_keys import WalkState
from ...storage.db.keyset import SKEW
from ...storage.db.row_types import RowValues
from ...storage.queries import function_list
from ..runtime import audit
from ..runtime.audit import Actor
from ..runtime.context import Context
from .pause_function import find


@dataclass(frozen=True, slots=True)
class ShownKey:
    """A key with its walk: `done` of `total` older runs are indexed; None: not counted yet."""

    name: str
    path: str
    is_indexed: bool
    done: int
    total: int | None


@dataclass(frozen=True, slots=True)
class ShownKeys:
    """The search keys of a function, by name."""

    function_id: str
    slug: str
    keys: list[ShownKey]


def show(ctx: Context, function: str) -> ShownKeys:
    """Read the keys of a function, given by id or slug. Raises NotFound."""
    with ctx.db.reading() as tx:
        function_id = find(tx, function)
        return _shown(tx, function_id)


def _shown(tx: Connection, function_id: str) -> ShownKeys:
    return ShownKeys(function_id, _slug(tx, function_id), of_function(tx, function_id))


def of_function(tx: Connection, function_id: str) -> list[ShownKey]:
    """List the keys of a function, by name."""
    return [_key(row) for row in rows.declared(tx, function_id)]


def _key(row: RowMapping) -> ShownKey:
    is_indexed = row["state"] != WalkState.WALKING.value
    return ShownKey(row["name"], row["path"], is_indexed, row["done"], row["total"])


def _slug(tx: Connection, function_id: str) -> str:
    row = function_rows.function(tx, function_id)
    return function_id if row is None else str(row["slug"])


def put(ctx: Context, function: str, body: object, by: Actor | None = None) -> ShownKeys:
    """Declare all keys of a function, given by id or slug, in place of those that it has.

    A key that stays as it was keeps its index. Raises NotFound, and Invalid for a body that
    search_keys.parse() refuses. An operator's act is written to the audit log with it.
    """
    return _declare(ctx, function, rules.parse(body), by)


def remove(ctx: Context, function: str, by: Actor | None = None) -> ShownKeys:
    """Remove all keys of a function; upkeep deletes their values. Raises NotFound."""
    return _declare(ctx, function, {}, by)


def _declare(ctx: Context, function: str, wanted: SearchKeys, by: Actor | None) -> ShownKeys:
    def write(tx: Connection) -> ShownKeys:
        function_id, now = find(tx, function), ctx.now()
        text = rules.to_json(wanted)
        rows.declare(tx, function_id, text)  # locks the function's row
        known = rows.of_function(tx, function_id)
        for name in sorted(wanted.keys() | known.keys()):
            path = wanted[name].text if name in wanted else None
            if name not in known or known[name]["path"] != path:
                rows.put(tx, _new_walk(ctx, function_id, name, path, now))
        function_rows.renew_catalog_version(tx)
        audit.note(tx, by, now, "search_keys.declare", _slug(tx, function_id), text or "none")
        return _shown(tx, function_id)

    found = ctx.committer.run_once(write)
    names = ",".join(key.name for key in found.keys)
    observe.event("search_keys.declared", function=found.slug, keys=names)
    return found


def _new_walk(
    ctx: Context, function_id: str, name: str, path: str | None, now: datetime
) -> RowValues:
    return {
        "function_id": function_id,
        "name": name,
        "path": path,
        "declared_at": now,
        "state": WalkState.WALKING.value,
        "before": ids.lowest_ulid(now, SKEW),
        "due_at": ctx.real_now(),
        "done": 0,
        "total": None,
    }


def declared_names(functions: Sequence[RowMapping]) -> frozenset[str]:
    """List the names of the keys that functions declare, from their rows."""
    return frozenset(name for row in functions for name in rules.from_json(row["search_keys"]))


def checked(tx: Connection, pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """Check the keys of a search. Raises Invalid for one that no function declares."""
    if not pairs:
        return ()
    return rules.check_pairs(pairs, declared_names(function_list.every(tx)))


def unfinished(tx: Connection, names: Sequence[str]) -> list[ShownKey]:
    """List the keys of these names whose older runs are not all indexed yet."""
    return [_key(row) for row in rows.unfinished(tx, names)] if names else []
