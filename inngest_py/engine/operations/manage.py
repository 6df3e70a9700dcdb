"""Begin an operation, count what it would do, and change one that runs."""

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, RowMapping

from ... import observe
from ...domain.errors import Conflict, NotFound
from ...domain.operations import operations as rules
from ...domain.operations import selections
from ...domain.operations.operations import OPEN, Asked, Change, State
from ...domain.operations.selections import EventSelection, RunSelection
from ...domain.runs import retention
from ...domain.values import canonical
from ...storage.db.row_types import RowValues
from ...storage.operations import operations as rows
from ...storage.queries import event_list
from ...storage.queries.operations import operation_list
from ..runtime import audit
from ..runtime.audit import SHELL, Actor
from ..runtime.context import Context
from .selecting import Counted, count, error_of

_ACTS = {State.PAUSED: "pause", State.RUNNING: "resume", State.CANCELLED: "cancel"}


@dataclass(frozen=True, slots=True)
class Preview:
    """What an operation would do: its name, how much there is, and what to know before."""

    name: str
    counted: Counted
    note: str | None


def preview(ctx: Context, asked: Asked) -> Preview:
    """Count what an operation would do, and change nothing. Raises Invalid and NotFound."""
    now = ctx.now()
    counted = count(ctx, asked.kind, asked.selection, now)
    name = asked.name or _name(ctx, asked, counted, now)
    return Preview(name, counted, _note(ctx, asked, now))


def _name(ctx: Context, asked: Asked, counted: Counted, now: datetime) -> str:
    chosen = asked.selection
    if not isinstance(chosen, RunSelection) or chosen.error is None:
        return rules.name_of(asked, counted.total, exact=counted.exact)
    with ctx.db.reading() as tx:
        error = error_of(tx, chosen.error, now)
    slugs = list(counted.by_function)
    of = chosen.function or (slugs[0] if len(slugs) == 1 else None)
    named = replace(asked, selection=replace(chosen, function=of))
    return rules.name_of(named, counted.total, exact=counted.exact, error=error)


def begin(ctx: Context, asked: Asked, by: Actor | None = None) -> str:
    """Store an operation, which upkeep does from now on; return its id. Raises as preview().

    It works on what is there now: not on runs that it makes itself.
    """
    found = preview(ctx, asked)
    now = ctx.now()
    operation_id = ctx.new_id(now)
    row: RowValues = {
        "id": operation_id,
        "kind": asked.kind.value,
        "name": found.name,
        "selection": canonical.dumps(selections.dumped(asked.selection)).decode(),
        "rate": asked.rate,
        "state": State.RUNNING.value,
        "note": found.note,
        "total": found.counted.total,
        "total_exact": found.counted.exact,
        "begun_by": (by or SHELL).name,
        "before": now,
        "created_at": now,
        "due_at": ctx.real_now(),
    }

    def write(tx: Connection) -> None:
        rows.add(tx, row)
        audit.note(tx, by, now, f"operation.{asked.kind}", operation_id, found.name)

    ctx.committer.run_once(write)
    observe.event("operation.begun", operation=operation_id, kind=asked.kind, total=row["total"])
    return operation_id


def _note(ctx: Context, asked: Asked, now: datetime) -> str | None:
    """Say which events of the span may have been deleted; None if all are there."""
    chosen, keep = asked.selection, ctx.tuning.keep
    if not isinstance(chosen, EventSelection) or keep.all:
        return None
    if keep.age is not None:
        gone = retention.events_before(now - keep.age, now)
    else:
        with ctx.db.reading() as tx:
            oldest = event_list.oldest(tx)
        gone = oldest or now
    if chosen.since >= gone:
        return None
    when = gone.strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"Events that came before {when} may be missing: they are older than events are kept."


def change(ctx: Context, operation_id: str, wanted: Change, by: Actor | None = None) -> RowMapping:
    """Pause, resume or cancel an operation, or set its rate; return its row.

    A chunk that is under way ends first, in a second at most. Raises NotFound, and Conflict for one
    that has ended.
    """
    values: RowValues = {}
    if wanted.state is not None:
        values["state"] = wanted.state.value
        if wanted.state is State.CANCELLED:
            values["ended_at"] = ctx.now()
        # whoever had a chunk has lost it, or has committed it; the next one begins now
        values |= {"lease": None, "due_at": ctx.real_now()}
    if wanted.sets_rate:
        values |= {"rate": wanted.rate, "lease": None, "due_at": ctx.real_now()}

    def write(tx: Connection) -> RowMapping:
        changed = rows.change(tx, operation_id, values)
        row = operation_list.get(tx, operation_id)
        if row is None:
            raise NotFound(f"operation {operation_id} does not exist")
        if not changed:
            raise Conflict(f"the operation has ended ({row['state']}): begin another one")
        if wanted.state is not None:
            audit.note(tx, by, ctx.now(), f"operation.{_ACTS[wanted.state]}", operation_id)
        if wanted.sets_rate:
            told = "no limit" if wanted.rate is None else f"{wanted.rate:g} a second"
            audit.note(tx, by, ctx.now(), "operation.rate", operation_id, told)
        return row

    row = ctx.committer.run_once(write)
    if State(row["state"]) not in OPEN:
        observe.event(
            "operation.ended", operation=operation_id, kind=row["kind"], state=row["state"]
        )
    return row
