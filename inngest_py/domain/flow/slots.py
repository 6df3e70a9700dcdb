"""Slots: the groups whose requests, or runs, are counted together (flow-control.md §2).

A group is a scope, the text of a key expression and the key's value. Functions whose env or
account entries have the same text share a group for each value.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from ..functions.function_limits import Concurrency
from . import keys

PREFIXES = ("step:", "run:")  # what the names of groups begin with
_SHARED = "*"  # in place of the function's id, for the scopes that are wider than a function


@dataclass(frozen=True, slots=True)
class Slots:
    """What a run's requests count against, in the order of the function's limits.

    `run` is the group in which the run itself counts, from its first request to its end;
    `rank_us` its place in every line (flow-control.md §7).
    """

    steps: tuple[str, ...]
    run: str | None
    rank_us: int

    @property
    def all(self) -> tuple[str, ...]:
        """Every group."""
        return self.steps if self.run is None else (self.run, *self.steps)

    def to_json(self) -> str:
        """Write it for the run's row."""
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
    event: Mapping[str, Any],
    now: datetime,
    rank_us: int,
) -> Slots:
    """Evaluate the limits' keys for a run, once; a key that fails has a group of its own."""
    return Slots(
        tuple(_group("step", function_id, entry, event, now) for entry in steps),
        None if whole is None else _group("run", function_id, whole, event, now),
        rank_us,
    )


def _group(
    kind: str, function_id: str, entry: Concurrency, event: Mapping[str, Any], now: datetime
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
    """Find the limit that a function has for a group now; None when it has none any more."""
    found = entry(group, function_id, steps, whole)
    return None if found is None else found.limit


def entry(
    group: str, function_id: str, steps: Sequence[Concurrency], whole: Concurrency | None
) -> Concurrency | None:
    """Find which of a function's limits a group belongs to now; None when to none any more."""
    for kind, entries in (("step", steps), ("run", () if whole is None else (whole,))):
        for one in entries:
            if group.startswith(_prefix(kind, function_id, one)):
                return one
    return None


def is_current(
    held: Slots | None, function_id: str, steps: Sequence[Concurrency], whole: Concurrency | None
) -> bool:
    """Say whether a run's groups are those of the limits that its function has now."""
    groups = () if held is None else held.all
    wanted = {_prefix("step", function_id, entry) for entry in steps}
    wanted |= set() if whole is None else {_prefix("run", function_id, whole)}
    return {group.rpartition(":")[0] + ":" for group in groups} == wanted


def prefixes(function_id: str, steps: Sequence[Concurrency]) -> set[str]:
    """Give how the names of the groups begin in which a function's requests or runs may wait.

    All of its own, whatever their key, and those of the limits that it shares with others.
    """
    shared = {_prefix("step", function_id, entry) for entry in steps if entry.scope != "fn"}
    return {f"step:fn:{function_id}:", f"run:fn:{function_id}:"} | shared


@dataclass(frozen=True, slots=True)
class Look:
    """A group as it is under its lock: who holds slots, who was let go, who waits first.

    `line` holds (rank, item id) of the first in line, in order.
    """

    held: int
    promised: int
    line: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Claimant:
    """An item that wants its slots now; `groups` maps those to their limits (None: no limit)."""

    item_id: str
    rank_us: int
    groups: Mapping[str, int | None]


def admit(claimants: Sequence[Claimant], looks: Mapping[str, Look]) -> dict[str, str]:
    """Decide who has to wait: the ids of those, with the group that has no room for each.

    Nobody overtakes an item of an earlier place in the same line.
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


def _fits(claimant: Claimant, group: str, look: Look, taken: Mapping[str, int]) -> bool:
    most = claimant.groups[group]
    if most is None:
        return True
    behind = look.line and look.line[0] < (claimant.rank_us, claimant.item_id)
    return not behind and look.held + look.promised + taken.get(group, 0) < most


def let_go(look: Look, most: int | None) -> list[str]:
    """List the items that may leave the line now, in order."""
    room = len(look.line) if most is None else max(0, most - look.held - look.promised)
    return [item_id for _, item_id in look.line[:room]]
