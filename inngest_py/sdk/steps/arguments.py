"""Checks of the arguments of steps: errors name the argument and what to give instead."""

import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

import inngest

from .. import internals
from ..internals import AnyContext, Note, ParsedStepID, ReportedInfo

_LONGEST = timedelta(days=366)  # of the protocol
_UNITS = {
    "ms": 1,
    "millisecond": 1,
    "s": 1000,
    "sec": 1000,
    "second": 1000,
    "m": 60_000,
    "min": 60_000,
    "minute": 60_000,
    "h": 3_600_000,
    "hr": 3_600_000,
    "hour": 3_600_000,
    "d": 86_400_000,
    "day": 86_400_000,
    "w": 604_800_000,
    "week": 604_800_000,
}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)\s*(?:,\s*|and\b\s*)*", re.ASCII)
_EXAMPLES = "give a timedelta, or text such as '3 days', '1 hour 30 minutes' or '90s'"
T = TypeVar("T")


def check_context(context: object) -> None:
    """Raise TypeError for anything but the context of a function."""
    if not isinstance(context, inngest.Context | inngest.ContextSync):
        raise TypeError(
            "ctx: give the context, the argument that the function itself is called with, "
            f"not {_kind(context)}"
        )


def check_id(context: object, step_id: object) -> str:
    """Check what all steps are given. Raises TypeError or ValueError."""
    check_context(context)
    return check_name("step_id", step_id)


def check_name(argument: str, given: object) -> str:
    """Return a name that is text and not empty. Raises TypeError or ValueError."""
    if not isinstance(given, str):
        raise TypeError(f"{argument}: give text, not {_kind(given)}")
    if not given.strip():
        raise ValueError(f"{argument}: give a name, not empty text")
    return given


def milliseconds(argument: str, given: object) -> int:
    """Read a length of time. Raises TypeError or ValueError, which say how to write it."""
    if isinstance(given, str):
        length = _read(argument, given)
    elif isinstance(given, timedelta):
        length = round(given / timedelta(milliseconds=1))
    else:
        raise TypeError(f"{argument}: {_EXAMPLES}, not {_kind(given)}")
    if length < 0:
        raise ValueError(f"{argument}: {given} is negative: {_EXAMPLES}")
    if length > _LONGEST / timedelta(milliseconds=1):
        raise ValueError(f"{argument}: {given} is over 366 days, the longest that a run may wait")
    return length


def _read(argument: str, text: str) -> int:
    rest, total = text.strip().lower(), 0.0
    place = 0
    while (part := _PART.match(rest, place)) is not None:
        unit = _UNITS.get(part[2]) or _UNITS.get(part[2].removesuffix("s"))
        if unit is None:
            raise ValueError(f"{argument}: {part[2]!r} in {text!r} is no unit: {_EXAMPLES}")
        total += float(part[1]) * unit
        place = part.end()
    if not rest or place != len(rest):
        raise ValueError(f"{argument}: {text[:64]!r} is no length of time: {_EXAMPLES}")
    return round(total)


def one_of(argument: str, given: object, allowed: tuple[str, ...]) -> str:
    """Return one of the values that are allowed. Raises ValueError."""
    if given not in allowed:
        raise ValueError(f"{argument}: give one of {', '.join(map(repr, allowed))}, not {given!r}")
    return str(given)


def _kind(value: object) -> str:
    return "None" if value is None else f"a value of type {type(value).__name__}"


def reported(
    context: AnyContext, info: ReportedInfo, read: Callable[[object], T]
) -> T | Awaitable[T]:
    """Let the server do a step, and read its result; blocking or async as the context is."""
    if isinstance(context, inngest.ContextSync):
        return read(internals.wait(context, info))
    return _reported_async(context, info, read)


async def _reported_async(
    context: inngest.Context, info: ReportedInfo, read: Callable[[object], T]
) -> T:
    return read(await internals.wait_async(context, info))


def noted(context: AnyContext, step: ParsedStepID, note: Note, result: T) -> T | Awaitable[T]:
    """Run a step that only reports something; return `result`, which is not stored."""
    if isinstance(context, inngest.ContextSync):
        internals.note(context, step, note)
        return result
    return _noted_async(context, step, note, result)


async def _noted_async(context: inngest.Context, step: ParsedStepID, note: Note, result: T) -> T:
    await internals.note_async(context, step, note)
    return result
