"""Expressions of workflows, in CEL: what they may name, and their values when a step is reached.

They see `event`, `events`, the list of a batch, `result`, which is the result of the step before,
and `steps`, the results of all steps before by their names.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NoReturn

from .. import cel
from ..errors import Invalid
from ..limits import MAX_STEP_BYTES
from ..values import canonical
from ..values.checks import kind
from .options import wrong

_VARIABLES = frozenset({"event", "events", "result", "steps"})
_MOST_EXACT = 2**53  # doubles hold all integers below


@dataclass(frozen=True, slots=True)
class Skipped:
    """Stands in place of the result of a skipped task.

    `by` is the path whose condition did it, `label` the task's.
    """

    by: str
    label: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Scope:
    """What a run gives to the expressions of its workflow.

    `events` are the run's, one or those of its batch. `stored` reads the result of a task by its
    path; it is asked for tasks that have ended.
    """

    events: Callable[[], Sequence[object]]
    stored: Callable[[str], object]
    now: datetime

    def variables(self, result: object, steps: Mapping[str, object]) -> dict[str, object]:
        """Return what an expression reads; numbers of results are doubles, as those of events."""
        events = list(self.events())
        found = float(result) if type(result) is int and abs(result) < _MOST_EXACT else result
        return {"event": events[0], "events": events, "result": found, "steps": steps}


class ExpressionFailed(Invalid):
    """An expression of a step has no value that can be used; `path` and `label` name the step."""

    def __init__(self, path: str, label: str, message: str) -> None:
        super().__init__(f"step {label!r}: {message}")
        self.path, self.label = path, label


@dataclass(frozen=True, slots=True)
class At:
    """The step that an expression is evaluated for."""

    path: str
    label: str

    def fail(self, what: str, text: str, problem: str) -> NoReturn:
        """Raise ExpressionFailed, which names the step and the expression."""
        raise ExpressionFailed(self.path, self.label, f"{what}, the expression {text!r}, {problem}")


def check(text: object, where: str) -> set[str]:
    """Check an expression; return the names of the steps whose results it reads. Raises Invalid."""
    if not isinstance(text, str):
        problem = "must be an expression in quotes, such as '[event.data.order]', and it is"
        raise wrong(where, f"{problem} {kind(text)}")
    try:
        cel.check(text, _VARIABLES)
        return steps_of(text)
    except Invalid as error:
        raise wrong(where, f"is no expression that works here: {error.message}") from error


def steps_of(text: str) -> set[str]:
    """Return the names of the steps whose results an expression reads."""
    return cel.fields_of(text, "steps")


def holds(text: str, variables: Mapping[str, object], now: datetime, at: At) -> bool:
    """Say whether a condition is true. Raises ExpressionFailed."""
    value = _evaluated("when", text, variables, now, at)
    if not isinstance(value, bool):
        at.fail("when", text, f"must give true or false, and it gave {kind(value)}")
    return value


def arguments(
    text: str, variables: Mapping[str, object], now: datetime, at: At
) -> tuple[object, ...]:
    """Return the positional arguments that an expression gives. Raises ExpressionFailed."""
    value = _as_json("args", text, variables, now, at)
    if not isinstance(value, list):
        at.fail("args", text, f"must give a list, and it gave {given_kind(value)}")
    return tuple(value)


def keywords(
    text: str, variables: Mapping[str, object], now: datetime, at: At
) -> dict[str, object]:
    """Return the keyword arguments that an expression gives. Raises ExpressionFailed."""
    value = _as_json("kwargs", text, variables, now, at)
    if not isinstance(value, dict):
        at.fail("kwargs", text, f"must give an object, and it gave {given_kind(value)}")
    return value


def given_kind(value: object) -> str:
    """Name the type of a value; an expression over a field that is missing gives false."""
    return kind(value) + ("; a field that it names may be missing" if value is False else "")


def _as_json(
    what: str, text: str, variables: Mapping[str, object], now: datetime, at: At
) -> object:
    value = _evaluated(what, text, variables, now, at)
    try:
        written = canonical.dumps_exact(value)
        if canonical.size(written) > MAX_STEP_BYTES:
            at.fail(what, text, f"gave over {MAX_STEP_BYTES} bytes")
        made: object = canonical.loads(written)
    except ExpressionFailed:
        raise
    except Invalid as error:
        at.fail(what, text, f"gave what JSON cannot hold: {error.message}")
    return made


def _evaluated(
    what: str, text: str, variables: Mapping[str, object], now: datetime, at: At
) -> object:
    try:
        return cel.argument(text, variables, now)
    except (cel.CelError, Invalid) as error:
        at.fail(what, text, f"failed: {error}")
