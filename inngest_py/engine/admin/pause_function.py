"""Pause and resume functions.

Invariant: once pause() has returned, no request of the function begins until resume(). A request
that was in flight may finish, and its result is stored.

Pausing commits the function's mark first, and marks items and runs after it. A claim after the
first commit reads the mark and sets the item aside (`held`). A claim before it, or a worker about
to continue a run in place, has locked the item's or the run's row; the second part waits for that
lock, so what was leased counts as in flight. Resuming works in the same order. A process that dies
between the parts leaves nothing wrong: claims obey the function's mark, and upkeep finishes a
resumption that has begun.
"""

from collections.abc import Callable, Sequence
from functools import partial

from sqlalchemy import Connection

from ... import observe
from ...domain.errors import Invalid, NotFound
from ...storage.catalog import functions as rows
from ...storage.queries import function_list
from ...storage.queue import function_pause
from ..flow.arrivals import HOLD, SKIP
from ..runtime import audit
from ..runtime.audit import Actor
from ..runtime.context import Context

_BATCH = 500


def find(tx: Connection, name: str) -> str:
    """Find a function's id by id or slug. Raises NotFound, and Invalid if apps share the slug.

    An archived function is found by its slug only if no other function has it.
    """
    found = [row for row in function_list.every(tx) if name in (row["id"], row["slug"])]
    found = [row for row in found if row["id"] == name] or found
    found = [row for row in found if row["archived_at"] is None] or found
    if not found:
        raise NotFound(f"function {name[:255]} does not exist")
    if len(found) > 1:
        raise Invalid(
            f"{len(found)} apps have a function {name[:255]}: give its internal_id", field="id"
        )
    return str(found[0]["id"])


def pause(ctx: Context, function: str, events: str = SKIP, by: Actor | None = None) -> str:
    """Pause a function, given by id or slug; return its id.

    While it is paused, its items wait without using attempts. New events make runs that are
    SKIPPED (`skip`), or that wait too (`hold`); cron ticks are always skipped. Pausing again
    changes `events`. Raises NotFound, and Invalid for other values of `events`. An operator's act
    is written to the audit log with it.
    """
    if events not in (SKIP, HOLD):
        raise Invalid('events must be "skip" or "hold"', field="events")

    def mark(tx: Connection) -> str:
        function_id = find(tx, function)
        now = ctx.now()
        function_pause.pause(tx, function_id, events, now)
        rows.renew_catalog_version(tx)
        audit.note(tx, by, now, "function.pause", _slug(tx, function_id), events)
        return function_id

    function_id = ctx.committer.run_once(mark)
    _walk(ctx, function_id, function_pause.hold, while_paused=True)
    _walk(ctx, function_id, partial(function_pause.mark_runs, held=True), while_paused=True)
    observe.event("function.paused", function_id=function_id, events=events)
    return function_id


def resume(ctx: Context, function: str, by: Actor | None = None) -> str:
    """Resume a function, given by id or slug; return its id. Raises NotFound.

    Overdue items are due at once. Resuming a function that is not paused changes nothing.
    """

    def unmark(tx: Connection) -> str:
        function_id = find(tx, function)
        function_pause.resume(tx, function_id)
        rows.renew_catalog_version(tx)
        audit.note(tx, by, ctx.now(), "function.resume", _slug(tx, function_id))
        return function_id

    function_id = ctx.committer.run_once(unmark)
    give_back(ctx, function_id)
    observe.event("function.resumed", function_id=function_id)
    return function_id


def _slug(tx: Connection, function_id: str) -> str:
    row = rows.function(tx, function_id)
    return function_id if row is None else str(row["slug"])


def give_back(ctx: Context, function_id: str) -> None:
    """Make ready the held items of a function that has been resumed."""
    free = partial(function_pause.give_back, now=ctx.now())
    _walk(ctx, function_id, free, while_paused=False)
    _walk(ctx, function_id, partial(function_pause.mark_runs, held=False), while_paused=False)
    ctx.committer.run_alone(lambda tx: function_pause.resumed(tx, function_id))


def _walk(
    ctx: Context,
    function_id: str,
    write: Callable[[Connection, Sequence[str]], None],
    *,
    while_paused: bool,
) -> None:
    """Apply a write to the function's live runs, in batches by id; stop if the pause has changed.

    A write changes either items or runs. A claim locks items and then runs, ending a run locks
    them the other way round, and this must not form a ring with either.
    """

    after = ""

    def batch(tx: Connection) -> list[str]:
        if function_pause.is_paused(tx, function_id) is not while_paused:
            return []
        found = function_pause.live_runs(tx, function_id, after, _BATCH)
        if found:
            write(tx, found)
        return found

    while len(found := ctx.committer.run_alone(batch)) == _BATCH:
        after = found[-1]
