"""Operations: their kinds and states, and what people may ask for."""

import math
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ..values.checks import kind as type_name
from ..values.json_fields import JsonFields
from . import selections
from .selections import EventSelection, RunSelection, Selection

MOST_RATE = 10_000
_LEAST_RATE = 0.001
_MOST_NAME_BYTES = 200


class Kind(StrEnum):
    """What an operation does."""

    RERUN = "rerun"
    CANCEL = "cancel"
    REPLAY_EVENTS = "replay_events"


class State(StrEnum):
    """Where an operation is."""

    RUNNING = "running"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    COMPLETED = "completed"
    FAILED = "failed"


OPEN = frozenset({State.RUNNING, State.PAUSED})


class Outcome(StrEnum):
    """What became of an item of an operation, which is a run or an event."""

    SUCCEEDED = "succeeded"
    SKIPPED = "skipped"  # a rule refused it: its reason is told
    FAILED = "failed"  # an error that nobody expected


@dataclass(frozen=True, slots=True)
class Asked:
    """An operation that somebody asks for; `rate` is in items a second, None is no limit."""

    kind: Kind
    selection: Selection
    rate: float | None = None
    name: str | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """What changes of an operation. `state` None leaves it; `rate` counts if `sets_rate`."""

    state: State | None
    rate: float | None
    sets_rate: bool


def parse(body: object, now: datetime) -> Asked:
    """Check the body of a request for an operation. Raises Invalid, which names the field."""
    given = JsonFields(body)
    _refuse_others(given, ("kind", "name", "selection", "rate", "dry_run"))
    word = given.needed("kind")
    if word not in list(Kind):
        raise given.wrong("kind", f"must be one of {', '.join(Kind)}")
    kind, selected = Kind(word), given.object("selection")
    if selected is None:
        raise given.missing("selection")
    selection: Selection
    if kind is Kind.REPLAY_EVENTS:
        selection = selections.parse_events(selected, now)
    else:
        selection = selections.parse_runs(selected, cancel=kind is Kind.CANCEL)
    dry_run = given.get("dry_run")
    if dry_run is not None and not isinstance(dry_run, bool):
        raise given.wrong("dry_run", f"must be true or false, not {type_name(dry_run)}")
    return Asked(kind, selection, rate(given), given.text("name", _MOST_NAME_BYTES), bool(dry_run))


def parse_change(body: object) -> Change:
    """Check the body of a request that changes an operation. Raises Invalid."""
    given = JsonFields(body)
    _refuse_others(given, ("state", "rate"))
    word = given.text("state")
    wanted = (State.RUNNING, State.PAUSED, State.CANCELLED)
    if word is not None and word not in wanted:
        raise given.wrong("state", f"must be one of {', '.join(wanted)}")
    if word is None and "rate" not in given.given:
        raise given.wrong("state", "is missing, and rate too: give one of them")
    return Change(State(word) if word else None, rate(given), "rate" in given.given)


def rate(given: JsonFields) -> float | None:
    """Read a rate in items a second; None is no limit. Raises Invalid."""
    value = given.get("rate")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise given.wrong("rate", "must be a number of items a second, or null for no limit")
    if not _LEAST_RATE <= value <= MOST_RATE:
        raise given.wrong("rate", f"must lie between {_LEAST_RATE} and {MOST_RATE} items a second")
    return float(value)


def _refuse_others(given: JsonFields, known: tuple[str, ...]) -> None:
    for name in sorted(given.given):
        if name not in known:
            raise given.wrong(name[:64], f"is no field here: choose from {', '.join(known)}")


def name_of(asked: Asked, total: int, *, exact: bool, error: str | None = None) -> str:
    """Write the name of an operation: what it does with how many of what.

    It is no longer than a name that `parse` takes: forms send it back.
    """
    selection = asked.selection
    number = f"{total:,}" if exact else f"more than {total:,}"
    if isinstance(selection, EventSelection):
        return _fitting(f"Replay {number} {_plural('event', total)} to {selection.function}")
    verb = "Cancel" if asked.kind is Kind.CANCEL else "Run again"
    of = selection.function or selection.app
    words = [verb, number, *_described(selection), _plural("run", total)]
    text = " ".join(words) + (f" of {of}" if of else "")
    return _fitting(f"{text}: {error}" if error else text)


def _fitting(name: str) -> str:
    raw = name.encode()
    if len(raw) <= _MOST_NAME_BYTES:
        return name
    end = "…"
    return raw[: _MOST_NAME_BYTES - len(end.encode())].decode(errors="ignore") + end


def _described(selection: RunSelection) -> list[str]:
    if selection.error is not None:
        return ["failed"]
    return [selection.status[0]] if len(selection.status) == 1 else []


def _plural(word: str, number: int) -> str:
    return word if number == 1 else f"{word}s"
