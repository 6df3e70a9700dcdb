"""Slots: which requests, or runs, are counted together under concurrency (flow-control.md §2).

A slot group is counted together: it is a scope, the text of a key's expression and the key's value.
Functions whose env or account limits have the same text share one slot group per value.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from ..functions.function_limits import Concurrency
from . import keys

PREFIXES = ("step:", "run:")  # how the names of slot groups begin
_SHARED = "*"  # in place of the function's id, for the scopes that are wider than a function


@dataclass(frozen=True, slots=True)
class Slots:
    """The slot groups of a run's requests (`steps`), in the order of the function's limits.

    `run` is the slot group that counts the run itself, from its first request to its end.
    `rank_us` is the run's place in every waiting line (flow-control.md §7).
    """

    steps: tuple[str, ...]
    run: str | None
    rank_us: int

    @property
    def all(self) -> tuple[str, ...]:
        """All its slot groups."""
        return self.steps if self.run is None else (self.run, *self.steps)

    def to_json(self) -> str:
        """Write this for the run's row."""
        return orjson.dumps([self.steps, self.run, self.rank_us]).decode()


def from_json(stored: str | None) -> Slots | None:
    """Read what to_json() wrote; None for a run without limits."""
    if stored is None:
        return None
    steps, run, rank_us = orjson.loads(stored)
    return Slots(tuple(steps), run, rank_us)


def of_run(
    function_id: str,
    steps: Sequence[Concurrency],
    whole: Concurrency | None,
    event: Mapping[str, object],
    now: datetime,
    rank_us: int,
) -> Slots:
    """Evaluate the limits' keys for a run, once; a key that fails has the value `<invalid>`."""
    return Slots(
        tuple(_group("step", function_id, entry, event, now) for entry in steps),
        None if whole is None else _group("run", function_id, whole, event, now),
        rank_us,
    )


def _group(
    kind: str, function_id: str, entry: Concurrency, event: Mapping[str, object], now: datetime
) -> str:
    value = keys.text(entry.key, event if entry.key else {}, now)
    return f"{_prefix(kind, function_id, entry)}{_digest(value)}"


def _prefix(kind: str, function_id: str, entry: Concurrency) -> str:
    owner = function_id if entry.scope == "fn" else _SHARED
    return f"{kind}:{entry.scope}:{owner}:{_digest(entry.key or '')}:"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def limit(
    group: str, function_id: str, steps: Sequence[Concurrency], whole: Concurrency | None
) -> int | None:
    """Find the number that a function allows in a slot group now; None when the limit is gone."""
    found = entry(group, function_id, steps, whole)
    return None if found is None else found.limit


def entry(
    group: str, function_id: str, steps: Sequence[Concurrency], whole: Concurrency | None
) -> Concurrency | None:
    """Find the function's limit that a slot group belongs to; None when the limit is gone."""
    for kind, entries in (("step", steps), ("run", () if whole is None else (whole,))):
        for one in entries:
            if group.startswith(_prefix(kind, function_id, one)):
                return one
    return None


def is_current(
    held: Slots | None, function_id: str, steps: Sequence[Concurrency], whole: Concurrency | None
) -> bool:
    """Say whether a run's slot groups are those of its function's present limits."""
    groups = () if held is None else held.all
    wanted = {_prefix("step", function_id, entry) for entry in steps}
    wanted |= set() if whole is None else {_prefix("run", function_id, whole)}
    return {group.rpartition(":")[0] + ":" for group in groups} == wanted


def prefixes(function_id: str, steps: Sequence[Concurrency]) -> set[str]:
    """List how the names of the slot groups begin in which a function's items may wait.

    These are all slot groups of the function's own, and those of limits that it shares.
    """
    shared = {_prefix("step", function_id, entry) for entry in steps if entry.scope != "fn"}
    return {f"step:fn:{function_id}:", f"run:fn:{function_id}:"} | shared


@dataclass(frozen=True, slots=True)
class SlotGroup:
    """A slot group as read under its lock: counts of slots that are held or promised.

    A promised slot is that of an item that was let in and is not claimed yet. `line` holds (rank,
    item id) of the first in the waiting line, in order.
    """

    held: int
    promised: int
    line: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Claimant:
    """An item that wants its slots now; `groups` maps slot groups to their limits or None."""

    item_id: str
    rank_us: int
    groups: Mapping[str, int | None]


def must_wait(claimants: Sequence[Claimant], looks: Mapping[str, SlotGroup]) -> dict[str, str]:
    """Return the ids of the items that have to wait, each with a slot group that has no room.

    No item overtakes one with an earlier place in the same waiting line.
    """
    room: dict[str, int] = {}
    denied: dict[str, str] = {}
    for claimant in sorted(claimants, key=lambda one: (one.rank_us, one.item_id)):
        full = next((g for g in claimant.groups if not _fits(claimant, g, looks[g], room)), None)
        if full is not None:
            denied[claimant.item_id] = full
            continue
        for group in claimant.groups:
            room[group] = room.get(group, 0) + 1
    return denied


def _fits(claimant: Claimant, group: str, look: SlotGroup, taken: Mapping[str, int]) -> bool:
    most = claimant.groups[group]
    if most is None:
        return True
    behind = look.line and look.line[0] < (claimant.rank_us, claimant.item_id)
    return not behind and look.held + look.promised + taken.get(group, 0) < most


def let_in(look: SlotGroup, most: int | None) -> list[str]:
    """List the items of the waiting line that may be let in now, in order."""
    room = len(look.line) if most is None else max(0, most - look.held - look.promised)
    return [item_id for _, item_id in look.line[:room]]
