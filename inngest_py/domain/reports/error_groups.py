"""Error groups: which failed runs failed for one cause, and the states that operators give them.

A group is known by its function, the step that failed, the error's name, its message without what
differs from run to run, and the innermost frames of the app's own code. Pure.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from ..errors import Invalid
from ..runs import outputs
from ..values import canonical, ids
from . import causes
from .stack_frames import own_frames

MOST_OF_FUNCTION = 500  # groups; further causes share one group
MOST_MESSAGE_CHARS = 2000
HOURS, DAYS = 24, 7  # for which counts are shown
_MOST_NAME_CHARS = 200
_KEY_FRAMES = 3  # more would part one cause by its callers
_OTHER = "Other errors"
_LINES = {"\\n": "\n", '\\"': '"', "\\\\": "\\"}
_ESCAPED = re.compile(r'\\[n"\\]')
_MESSAGE = re.compile(r'"message":"((?:[^"\\]|\\.)*)')
_NAME = re.compile(r'"name":"((?:[^"\\]|\\.){1,200})"')


class ErrorState(StrEnum):
    """What operators have said of an error group."""

    OPEN = "open"
    MUTED = "muted"  # until a time, or for ever
    RESOLVED = "resolved"  # until a run fails that started later


@dataclass(frozen=True, slots=True)
class FailedStep:
    """A step that failed for good; `is_last` says that no step of its run was tried later."""

    name: str
    error: str | None  # JSON, or the beginning of it
    is_last: bool


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a run failed; `step` is None if its function's own code failed, outside of steps."""

    step: str | None
    name: str
    message: str
    cause: str
    frames: tuple[str, ...]

    def group_id(self, function_id: str) -> str:
        """Derive the id of its group, in the form of a ULID."""
        frames = list(self.frames[:_KEY_FRAMES])
        key = [function_id, self.step, self.name, self.cause, frames]
        return ids.derived(canonical.dumps(key).decode())


def failure(output: str | None, steps: Sequence[FailedStep]) -> Failure:
    """Say why a run failed, by its output and its failed steps, newest first.

    A function that raises the error of its step failed at that step, with the error as the step
    had it. One that raises another error just after it failed there, too.
    """
    name, message, stack = _parts(output)
    step, found = None, [(one, _parts(one.error)) for one in steps]
    same = next((pair for pair in found if pair[1][1] == message), None)
    if same is not None:
        step, (name, _, of_step) = same[0].name, same[1]
        stack = of_step or stack
    elif steps and steps[0].is_last:
        step = steps[0].name
    return Failure(
        step=None if step is None else _clean(causes.step_name(step), _MOST_NAME_CHARS),
        name=_clean(name, _MOST_NAME_CHARS),
        message=_clean(message, MOST_MESSAGE_CHARS),
        cause=_clean(causes.cause(message), MOST_MESSAGE_CHARS),
        frames=tuple(_clean(frame, _MOST_NAME_CHARS) for frame in own_frames(stack)),
    )


def other(failed: Failure) -> Failure:
    """Make what a failure counts as when its function has MOST_OF_FUNCTION groups already."""
    return Failure(None, _OTHER, failed.message, "", ())


def _clean(text: str, most: int) -> str:
    """Cut a text, and leave out what PostgreSQL does not store."""
    return text[:most].replace("\0", "")


def _parts(error: str | None) -> tuple[str, str, str]:
    """Read name, message and stack of an error that may be cut off."""
    if error is None:
        return outputs.DEFAULT_NAME, outputs.DEFAULT_MESSAGE, ""
    try:
        shown = outputs.shown_error(error)["error"]
    except Invalid:
        name, message = _NAME.search(error), _MESSAGE.search(error)
        text = message.group(1) if message else error
        text = _ESCAPED.sub(lambda found: _LINES[found.group()], text)
        return (name.group(1) if name else outputs.DEFAULT_NAME), text, ""
    stack = shown["stack"] or ""
    if shown["message"]:
        return shown["name"], shown["message"], stack
    return shown["name"], stack, ""


def state_at(state: str, muted_until: datetime | None, now: datetime) -> ErrorState:
    """Say in which state a group is: one that was muted until a time is open again after it."""
    if state == ErrorState.MUTED and muted_until is not None and muted_until <= now:
        return ErrorState.OPEN
    return ErrorState(state)


def is_new_since(first_seen: datetime, synced_at: datetime | None) -> bool:
    """Say whether a group was first seen after the last sync that changed its app."""
    return synced_at is not None and first_seen > synced_at


def first_hour(now: datetime) -> datetime:
    """Return the first of the last HOURS hours, the present one included."""
    return _hour(now) - timedelta(hours=HOURS - 1)


def first_day(now: datetime) -> datetime:
    """Return the first hour of the last DAYS days, each of 24 hours."""
    return _hour(now) - timedelta(hours=HOURS * DAYS - 1)


def last_hours(counted: Mapping[datetime, int], now: datetime) -> list[int]:
    """List the counts of the last HOURS hours, the newest last."""
    first = first_hour(now)
    return [counted.get(first + timedelta(hours=place), 0) for place in range(HOURS)]


def last_days(counted: Mapping[datetime, int], now: datetime) -> list[int]:
    """List the counts of the last DAYS days, which end with the present hour, the newest last."""
    days = [0] * DAYS
    for hour, runs in counted.items():
        place = (hour - first_day(now)) // timedelta(days=1)
        if 0 <= place < DAYS:
            days[place] += runs
    return days


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
