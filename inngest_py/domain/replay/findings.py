"""What new code would change in runs: one sentence for each finding, and findings in groups."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """What sort of step it is; the values are for people."""

    STEP = "step"
    SLEEP = "sleep"
    WAIT = "wait for an event"
    SIGNAL = "wait for a signal"
    INVOKE = "call of a function"
    AI = "AI call"
    HTTP = "HTTP call"


class Change(StrEnum):
    """What would happen to a step, or to the run as a whole."""

    MISSING = "missing"
    NEW = "new"
    REORDERED = "reordered"
    KIND = "kind"
    ENDS_EARLY = "ends_early"
    RAISES = "raises"
    UNSERVED = "unserved"


@dataclass(frozen=True, slots=True)
class KnownStep:
    """A step of the run: its id is the hash, `memo` its stored JSON, None if it has not ended."""

    id: str
    name: str
    kind: Kind
    memo: str | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """A step with its position in the run, from 1; None for a step that the run does not have."""

    name: str
    position: int | None = None
    ended: bool = True

    def __str__(self) -> str:
        if self.position is None:
            return repr(self.name)
        return f"{self.name!r} ({f'step {self.position}' if self.ended else 'not ended yet'})"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that would change; `step` is the step's hash, None if it is about no single step.

    `text` is the same for all runs in which the same thing changes; `detail` may differ.
    """

    change: Change
    text: str
    step: str | None = None
    name: str | None = None
    position: int | None = None
    detail: str | None = None


def _after(before: Placed | None) -> str:
    return "at the beginning" if before is None else f"after {before}"


def missing(step_id: str, step: Placed, here: str | None) -> Finding:
    """Tell of a step that the new code never asks for, or not before it waits for `here`."""
    text = f"{step} is gone: the new code never asks for it"
    if here is not None:
        text = f"{step} is gone, or comes later: the new code does not ask for it before {here}"
    return Finding(Change.MISSING, text, step_id, step.name, step.position)


def new(step_id: str, name: str, before: Placed | None, instead: Placed | None) -> Finding:
    """Tell of a step that the new code asks for where the run has another, or had ended."""
    run_has = "the run had ended" if instead is None else f"the run has {instead}"
    text = f"{name!r} is new: the new code asks for it {_after(before)}, where {run_has}"
    return Finding(Change.NEW, text, step_id, name)


def reordered(step_id: str, step: Placed, before: Placed | None, then: Placed | None) -> Finding:
    """Tell of a step that has moved; `before` and `then` are its neighbours in the new code."""
    where = _after(before) if then is None or before is not None else f"before {then}"
    text = f"{step} has moved: the new code asks for it {where}"
    return Finding(Change.REORDERED, text, step_id, step.name, step.position)


def changed_kind(step_id: str, step: Placed, was: Kind, now: Kind) -> Finding:
    """Tell of an id that now belongs to another sort of step."""
    text = f"{step} has changed: it was a {was} and is now a {now}"
    return Finding(Change.KIND, text.replace("a AI", "an AI"), step_id, step.name, step.position)


def ends_early(before: Placed | None, instead: Placed) -> Finding:
    """Tell of a function that returns before it has come to the run's last step."""
    text = f"the new code ends {_after(before)}, where the run has {instead}"
    return Finding(Change.ENDS_EARLY, text)


def raises(error: str, detail: str | None, before: Placed | None, then: Placed | None) -> Finding:
    """Tell of an error in code between steps; `then` is the step that is not reached."""
    run_has = "the run had ended" if then is None else f"the run has {then}"
    text = f"the new code raises {error} {_after(before)}, where {run_has}"
    return Finding(Change.RAISES, text, detail=detail)


def unserved(function: str) -> Finding:
    """Tell of a function that the app does not have any more."""
    return Finding(Change.UNSERVED, f"the app has no function {function!r} any more")


@dataclass(slots=True)
class Group:
    """The runs of a function in which the same thing would change; `examples` are a few of them."""

    function: str
    change: Change
    text: str
    runs: int = 0
    examples: list[str] = field(default_factory=list)


MOST_EXAMPLES = 5


def grouped(found: Iterable[tuple[str, str, Sequence[Finding]]]) -> list[Group]:
    """Group findings of (run id, function, findings) by function and text, most runs first."""
    groups: dict[tuple[str, str], Group] = {}
    for run_id, function, findings in found:
        for text, finding in {one.text: one for one in findings}.items():
            group = groups.setdefault((function, text), Group(function, finding.change, text))
            group.runs += 1
            if len(group.examples) < MOST_EXAMPLES:
                group.examples.append(run_id)
    return sorted(groups.values(), key=lambda group: (group.function, -group.runs))


def summary(changed: int, checked: int, in_flight: int, *, at_least: bool = False) -> str:
    """Say in one sentence what a deploy would change; `at_least`: more runs may be in flight."""
    more = " or more" if at_least else ""
    whole = f"{in_flight}{more} run{'' if in_flight == 1 else 's'} in flight"
    if not in_flight:
        return "there are no runs in flight: deploying this would change none"
    if checked < in_flight:
        whole = f"{checked} runs that were checked, of {whole}"
    if not changed:
        return f"deploying this would change no steps of the {whole}"
    return f"deploying this would change steps of {changed} of the {whole}"


def summary_of_run(run_id: str, changes: int, ended: str | None) -> str:
    """Say in one sentence what new code would change for a run; `ended` is how it has ended."""
    told = f"would make {changes or 'no'} change{'' if changes == 1 else 's'} to"
    if ended is None:
        return f"deploying this {told} run {run_id}"
    return f"run {run_id} has ended ({ended}): no deploy touches it; this code {told} its steps"
