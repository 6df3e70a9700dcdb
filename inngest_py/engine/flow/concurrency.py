"""Concurrency: no more requests in flight than any limit allows (flow-control.md §2).

A leased item holds its slots, so a lapsed lease gives them back and nothing can drift. Items that
find no room stand in line outside the queue; whoever gives a slot back lets the first in line go
in the same transaction. An item that was let go keeps its place until it is claimed.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection

from ... import observe
from ...domain.flow import priority
from ...domain.flow import slots as rules
from ...domain.flow.slots import Claimant, Slots
from ...domain.runs.items import CALLS, Item, ItemKind, ItemState
from ...domain.runs.runs import Run, RunStatus
from ...domain.values import canonical
from ...storage.queries import run_pages
from ...storage.queue import concurrency_slots
from ..runtime.catalog import Function
from ..runtime.context import HINT_GRACE, Context, Hint
from . import limits
from .arrivals import Arrival

J = TypeVar("J", bound=Any)

# Groups, each with the id of a function that has a limit for it.
Lines = dict[str, str]


def of_arrival(arrival: Arrival, now: datetime, rank_us: int | None) -> Slots | None:
    """Say what a new run will count against; None when its function has no limits."""
    function = arrival.function
    steps, whole = limits.concurrency(function, now), limits.run_concurrency(function, now)
    if rank_us is None or not limits.counts(function, now):
        return None
    return rules.of_run(function.id, steps, whole, arrival.trigger.fields, now, rank_us)


def of_rerun(function: Function, payload: str, now: datetime) -> Slots | None:
    """Say what a run of a stored event counts against, at the end of its lines."""
    if not limits.counts(function, now):
        return None
    steps, whole = limits.concurrency(function, now), limits.run_concurrency(function, now)
    event = canonical.loads(payload)
    return rules.of_run(function.id, steps, whole, event, now, priority.rank_us(now, 0))


def run_columns(held: Slots | None) -> dict[str, Any]:
    """Give the columns of a run's row that hold what it counts against."""
    if held is None:
        return {"slots": None, "run_slot": None}
    return {"slots": held.to_json(), "run_slot": held.run}


def columns(held: Slots | None, kind: ItemKind) -> dict[str, Any]:
    """Give the columns of a new item of a run: the slots that its request will hold, its place."""
    if held is None or kind not in CALLS:
        return {"slot1": None, "slot2": None}
    first, second = (*held.steps, None, None)[:2]
    return {"slot1": first, "slot2": second, "rank_us": held.rank_us}


def stand_in_line(row: dict[str, Any], held: Slots | None, now: datetime) -> str | None:
    """Put a new item at the end of its line; return the group, None when it need not wait.

    Delayed items find out whether there is room when they are due, others as advance() runs.
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
    """Name the groups in which a run has given its slots back, that of whole runs when it ended."""
    if run.slots is None:
        return {}
    return dict.fromkeys(run.slots.all if ended else run.slots.steps, run.function_id)


def advance(tx: Connection, ctx: Context, lines: Lines, now: datetime) -> list[Hint]:
    """Let the first of lines go where there is room.

    Locks the groups. Call it after the transaction's items are written.
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
        for item_id in rules.let_go(look, _limit(group, ctx.catalog.known(lines[group]), now))
    ]
    return concurrency_slots.let_go(tx, sorted(ids), now + HINT_GRACE)


def admit(
    tx: Connection, ctx: Context, jobs: Sequence[J], now: datetime, others: Sequence[J] = ()
) -> tuple[list[J], list[Hint]]:
    """Let claimed items have their slots; return those that got them, and hints for others.

    The rest waits in line, without a lease. `others` were claimed and do not run now. Locks the
    groups.
    """
    limited = [job for job in jobs if job.run.slots is not None and job.item.kind in CALLS]
    claimants = {job.item.id: _claimant(job, now) for job in limited}
    wanted = {group for claimant in claimants.values() for group in claimant.groups}
    # what was let go and takes no slot here, or none at all, passes its turn on
    left = {
        job.item.gate: job.function.id
        for job in [*jobs, *others]
        if _has_turn(job.item) and job.item.gate not in _groups(claimants, job)
    }
    if not wanted and not left:
        return list(jobs), []
    looks = concurrency_slots.lock(tx, wanted, limited[0].item.lease_id) if wanted else {}
    denied = rules.admit(list(claimants.values()), looks)
    concurrency_slots.wait(tx, denied)
    left |= {
        job.item.gate: job.function.id
        for job in limited
        if _has_turn(job.item) and job.item.id in denied
    }
    hints = advance(tx, ctx, left, now)
    for job in limited:
        if job.item.id in denied:
            _tell_wait(job.function)
    return [job for job in jobs if job.item.id not in denied], hints


def _has_turn(item: Item) -> bool:
    return item.gate is not None and item.gate.startswith(rules.PREFIXES)


def _groups(claimants: dict[str, Claimant], job: J) -> Iterable[str]:
    claimant = claimants.get(job.item.id)
    return () if claimant is None else claimant.groups


def freed(tx: Connection, ctx: Context, items: Sequence[Any], now: datetime) -> list[Hint]:
    """Hand on the slots of items whose leases have lapsed, in the transaction that frees them.

    They stand in line themselves, by their places: most are the first of it.
    """
    held = [item for item in items if item.slot1 is not None]
    if not held:
        return []
    functions = run_pages.functions_of(tx, [item.run_id for item in held])
    lines: Lines = {}
    for item in held:
        groups = (group for group in (item.slot1, item.slot2) if group is not None)
        lines |= dict.fromkeys(groups, functions.get(item.run_id, ""))
    concurrency_slots.wait(tx, {item.id: item.slot1 for item in held})
    return advance(tx, ctx, lines, now)


def tell_waits(
    arrivals: Sequence[Arrival], rows: Sequence[dict[str, Any]], let_go: Sequence[Hint]
) -> None:
    """Tell of new runs that found no room; `rows` are their items, `let_go` what found some."""
    waiting = {row["run_id"] for row in rows if row["state"] == ItemState.WAITING.value}
    if waiting:
        gone = {item_id for _, item_id in let_go}
        waiting -= {row["run_id"] for row in rows if row["id"] in gone}
        for arrival in arrivals:
            if arrival.run_id in waiting:
                _tell_wait(arrival.function)


def _tell_wait(function: Function) -> None:
    observe.event("concurrency.waits", level=10, function=function.slug)


def _claimant(job: Any, now: datetime) -> Claimant:
    held: Slots = job.run.slots
    groups = list(held.steps)
    # a run that runs has its own slot already
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


def may_carry(tx: Connection, runs: Iterable[tuple[Run, Item]]) -> set[str]:
    """Say which runs may go on in place: nobody with an earlier place waits for their slots.

    Runs without limits are not asked about. An item that holds no slot has none to go on with.
    """
    limited = [(run, run.slots, item) for run, item in runs if run.slots is not None]
    looks = concurrency_slots.see(tx, (group for _, held, _ in limited for group in held.steps))
    return {
        run.id
        for run, held, item in limited
        if item.kind in CALLS and not any(_earlier(looks[g], held, item) for g in held.steps)
    }


def _earlier(look: rules.Look, held: Slots, item: Item) -> bool:
    return bool(look.line) and look.line[0] < (held.rank_us, item.id)


def standing(tx: Connection, ctx: Context, runs: Mapping[str, str], now: datetime) -> Lines:
    """Name the groups that have room for the first in their lines, seen without locks.

    `runs` are groups with the run of the first in line.
    """
    ctx.catalog.refresh(tx)
    owners = run_pages.functions_of(tx, list(runs.values()))
    lines = {group: owners.get(run_id, "") for group, run_id in runs.items()}
    functions = {owner: ctx.catalog.find(tx, owner) for owner in set(lines.values())}
    looks = concurrency_slots.see(tx, lines)
    return {
        group: owner
        for group, owner in lines.items()
        if rules.let_go(looks[group], _limit(group, functions[owner], now))
    }
