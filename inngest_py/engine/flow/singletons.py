"""Singleton: one run of a key at a time (flow-control.md §8).

The transaction that makes the run locks the key's row and decides, so later transactions wait for
it. Of several runs that one transaction makes, the first gets the key, and the others are skipped
in both modes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from ...domain.errors import Invalid
from ...domain.flow import keys
from ...domain.runs.items import ItemKind
from ...domain.values import canonical
from ...storage.flow import singletons
from ..runtime.context import Context
from . import timers
from .arrivals import Arrival, FlowOutcome

REASON = "Singleton"
Release = tuple[str, str]  # a key, and the run that gives it back


@dataclass(slots=True)
class Holding:
    """The keys that this transaction has locked: who held them before, and who holds them now."""

    before: dict[str, str | None]
    now: dict[str, str | None]
    taken: dict[str, str]


def lock(
    tx: Connection, arrivals: Sequence[Arrival], releases: Sequence[Release], now: datetime
) -> Holding:
    """Lock the keys of new and of ended runs, and free those of ended runs."""
    for arrival in arrivals:
        arrival.singleton_key = _key(arrival, now)
    wanted = {a.singleton_key for a in arrivals if a.singleton_key is not None}
    wanted |= {key for key, _ in releases}
    if not wanted:
        return Holding({}, {}, {})
    before = singletons.lock(tx, wanted)
    holders = dict(before)
    for key, run_id in releases:
        if holders[key] == run_id:  # a run that has cancelled this one may hold the key now
            holders[key] = None
    return Holding(before, holders, {})


def _key(arrival: Arrival, now: datetime) -> str | None:
    """Name the key that a run needs; None when the rule does not apply to it."""
    rule = arrival.function.config.singleton
    if rule is None or arrival.batch_id is not None:
        return None
    try:
        text = keys.unless_false(rule.key, arrival.trigger.fields if rule.key else {}, now)
    except Invalid as error:
        arrival.invalid("singleton.key", error.message)
        return None
    return None if text is None else keys.bucket(arrival.function.id, text)


def give_keys(
    ctx: Context, holding: Holding, arrivals: Sequence[Arrival], now: datetime, out: FlowOutcome
) -> None:
    """Give each key to the first run that may have it, and skip the others.

    A run that is skipped for another reason gets no key.
    """
    for arrival in arrivals:
        key, rule = arrival.singleton_key, arrival.function.config.singleton
        if key is None or rule is None:
            continue
        holder = holding.now[key]
        if holder is not None and (rule.mode == "skip" or key in holding.taken):
            arrival.skip_reason, arrival.existing_run_id = REASON, holder
            arrival.singleton_key = None
            continue
        if arrival.skip_reason is not None:
            arrival.singleton_key = None
            continue
        if holder is not None:
            item_id = ctx.new_id(now)
            newer = canonical.dumps({"runID": arrival.run_id}).decode()
            out.items.append(timers.row(ItemKind.REPLACE, item_id, holder, now, now, newer))
            out.hints.append((ItemKind.REPLACE, item_id))
        holding.now[key] = holding.taken[key] = arrival.run_id


def write(tx: Connection, holding: Holding) -> None:
    """Write which runs hold the locked keys now."""
    singletons.put(tx, holding.taken)
    singletons.remove(tx, [key for key, holder in holding.now.items() if holder is None])
