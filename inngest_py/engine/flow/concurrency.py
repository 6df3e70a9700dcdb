"""Concurrency: no more requests in flight than any limit allows (flow-control.md §2).

A leased item holds its slots, so a lapsed lease gives them back and no count can drift. Items that
find no room wait in a line, outside the items that are due. The transaction that gives back a slot
lets in the next of the line. An item that was let in keeps its place until it is claimed.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection

from ... import observe
from ...domain.flow import priority
from ...domain.flow import slots as rules
from ...domain.flow.slots import Claimant, Slots
from ...domain.runs.items import CALLS, HINT_GRACE, Item, ItemKind, ItemState
from ...domain.runs.runs import Run, RunStatus
from ...domain.values import canonical
from ...storage.db.row_types import Record, RowValues
from ...storage.queries import run_lookups
from ...storage.queue import concurrency_slots
from ...storage.queue.queue_items import ItemRow, SlotColumns
from ..runtime.catalog import Function
from ..runtime.context import Context, Hint
from ..runtime.jobs import Job
from . import limits
from .arrivals import Arrival

J = TypeVar("J", bound=Job)

# Waiting lines by group of slots, each with the id of a function that has a limit for the group.
Lines = dict[str, str]


def of_arrival(arrival: Arrival, now: datetime, rank_us: int | None) -> Slots | None:
    """Say which slots a new run will count against; None when its function has no limits."""
    function = arrival.function
    steps, whole = limits.concurrency(function, now), limits.run_concurrency(function, now)
    if rank_us is None or not limits.counts(function, now):
        return None
    return rules.of_run(function.id, steps, whole, arrival.trigger.fields, now, rank_us)


def of_rerun(function: Function, payload: str, now: datetime) -> Slots | None:
    """Say which slots a rerun will count against; its place is at the end of its lines."""
    if not limits.counts(function, now):
        return None
    steps, whole = limits.concurrency(function, now), limits.run_concurrency(function, now)
    event = canonical.loads(payload)
    return rules.of_run(function.id, steps, whole, event, now, priority.rank_us(now, 0))


def run_columns(held: Slots | None) -> RowValues:
    """Give the columns of a run's row that name its slots."""
    if held is None:
        return {"slots": None, "run_slot": None}
    return {"slots": held.to_json(), "run_slot": held.run}


def columns(held: Slots | None, kind: ItemKind) -> SlotColumns:
    """Give the columns of a new item of a run: its place, and the slots its request will hold."""
    if held is None or kind not in CALLS:
        return {"slot1": None, "slot2": None}
    first, second = (*held.steps, None, None)[:2]
    return {"slot1": first, "slot2": second, "rank_us": held.rank_us}


def join_line(row: ItemRow, held: Slots | None, now: datetime) -> str | None:
    """Put a new item into its waiting line; return the line's group, None if it need not wait.

    A delayed item checks for room when it is due; others are let in by let_in().
    """
    if held is None or ItemKind(row["kind"]) not in CALLS:
        return None
    starts = row["kind"] == ItemKind.START.value
    group = held.run if starts and held.run is not None else next(iter(held.steps), None)
    if group is None or row["due_at"] > now or row.get("gate") is not None:
        return None
    row["state"], row["gate"] = ItemState.WAITING.value, group
    return group


def lines_of(run: Run, *, ended: bool = False) -> Lines:
    """Name the groups in which a run gives back slots; with `ended`, that of whole runs too."""
    if run.slots is None:
        return {}
    return dict.fromkeys(run.slots.all if ended else run.slots.steps, run.function_id)


def let_in(tx: Connection, ctx: Context, lines: Lines, now: datetime) -> list[Hint]:
    """Let in the next of each waiting line where there is room; return hints for them.

    Locks the groups. Call it after the items of the transaction are written.
    """
    looks = {group: look for group, look in concurrency_slots.lock(tx, lines).items() if look.line}
    unknown = {lines[group] for group in looks if ctx.catalog.known(lines[group]) is None}
    if unknown:
        ctx.catalog.refresh(tx)
    for function_id in unknown:
        ctx.catalog.find(tx, function_id)  # an archived one keeps its limits
    ids = [
        item_id
        for group, look in looks.items()
        for item_id in rules.let_in(look, _limit(group, ctx.catalog.known(lines[group]), now))
    ]
    return concurrency_slots.let_in(tx, sorted(ids), now + HINT_GRACE)


def admit(
    tx: Connection, ctx: Context, jobs: Sequence[J], now: datetime, others: Sequence[J] = ()
) -> tuple[list[J], list[Hint]]:
    """Give claimed items their slots; return the jobs that got them, and hints for other items.

    The rest waits in line, without a lease. `others` were claimed but will not run now: if they
    had been let in, the next of their lines are let in instead. Locks the groups.
    """
    limited = [job for job in jobs if job.run.slots is not None and job.item.kind in CALLS]
    claimants = {
        job.item.id: _claimant(job, held, now)
        for job in limited
        if (held := job.run.slots) is not None
    }
    wanted = {group for claimant in claimants.values() for group in claimant.groups}
    # items that were let in but take no slot of that group now: the next of the line gets it
    left = {
        gate: job.function.id
        for job in [*jobs, *others]
        if (gate := _let_in_to(job.item)) is not None and gate not in _groups(claimants, job)
    }
    if not wanted and not left:
        return list(jobs), []
    looks = concurrency_slots.lock(tx, wanted, limited[0].item.lease_id) if wanted else {}
    denied = rules.must_wait(list(claimants.values()), looks)
    concurrency_slots.wait(tx, denied)
    left |= {
        gate: job.function.id
        for job in limited
        if (gate := _let_in_to(job.item)) is not None and job.item.id in denied
    }
    hints = let_in(tx, ctx, left, now)
    for job in limited:
        if job.item.id in denied:
            _log_wait(job.function)
    return [job for job in jobs if job.item.id not in denied], hints


def _let_in_to(item: Item) -> str | None:
    """Name the group for which the item was let in; None if it was not."""
    gate = item.gate
    return gate if gate is not None and gate.startswith(rules.PREFIXES) else None


def _groups(claimants: dict[str, Claimant], job: Job) -> Collection[str]:
    claimant = claimants.get(job.item.id)
    return () if claimant is None else claimant.groups


def pass_on_slots(
    tx: Connection, ctx: Context, items: Sequence[Record], now: datetime
) -> list[Hint]:
    """Pass on the slots of items whose leases have lapsed, in the transaction that frees them.

    The items themselves wait in the line by their places: most are the first in it.
    """
    held = [item for item in items if item.slot1 is not None]
    if not held:
        return []
    functions = run_lookups.functions_of(tx, [item.run_id for item in held])
    lines: Lines = {}
    for item in held:
        groups = (group for group in (item.slot1, item.slot2) if group is not None)
        lines |= dict.fromkeys(groups, functions.get(item.run_id, ""))
    concurrency_slots.wait(tx, {item.id: item.slot1 for item in held})
    return let_in(tx, ctx, lines, now)


def log_waits(arrivals: Sequence[Arrival], rows: Sequence[ItemRow], now_in: Sequence[Hint]) -> None:
    """Log new runs that must wait; `rows` are their items, `now_in` hints for those let in."""
    waiting = {row["run_id"] for row in rows if row["state"] == ItemState.WAITING.value}
    if waiting:
        gone = {item_id for _, item_id in now_in}
        waiting -= {row["run_id"] for row in rows if row["id"] in gone}
        for arrival in arrivals:
            if arrival.run_id in waiting:
                _log_wait(arrival.function)


def _log_wait(function: Function) -> None:
    observe.event("concurrency.waits", level=10, function=function.slug)


def _claimant(job: Job, held: Slots, now: datetime) -> Claimant:
    groups = list(held.steps)
    # a run that has begun holds its slot already
    if held.run is not None and job.run.status is RunStatus.QUEUED:
        groups.insert(0, held.run)
    return Claimant(
        job.item.id, held.rank_us, {group: _limit(group, job.function, now) for group in groups}
    )


def _limit(group: str, function: Function | None, now: datetime) -> int | None:
    if function is None:
        return None
    config = limits.effective(function, now)
    return rules.limit(group, function.id, config.concurrency, config.run_concurrency)


def may_continue(tx: Connection, runs: Iterable[tuple[Run, Item]]) -> set[str]:
    """Say which runs may continue in place: no item with an earlier place waits for their slots.

    Runs without limits are left out. A run whose item holds no slot may not continue.
    """
    limited = [(run, run.slots, item) for run, item in runs if run.slots is not None]
    looks = concurrency_slots.see(tx, (group for _, held, _ in limited for group in held.steps))
    return {
        run.id
        for run, held, item in limited
        if item.kind in CALLS and not any(_earlier(looks[g], held, item) for g in held.steps)
    }


def _earlier(look: rules.SlotGroup, held: Slots, item: Item) -> bool:
    return bool(look.line) and look.line[0] < (held.rank_us, item.id)


def with_room(tx: Connection, ctx: Context, runs: Mapping[str, str], now: datetime) -> Lines:
    """Name the groups that have room for the first of their lines; reads without locks.

    `runs` maps groups to the run of the first in line.
    """
    ctx.catalog.refresh(tx)
    owners = run_lookups.functions_of(tx, list(runs.values()))
    lines = {group: owners.get(run_id, "") for group, run_id in runs.items()}
    functions = {owner: ctx.catalog.find(tx, owner) for owner in set(lines.values())}
    looks = concurrency_slots.see(tx, lines)
    return {
        group: owner
        for group, owner in lines.items()
        if rules.let_in(looks[group], _limit(group, functions[owner], now))
    }
