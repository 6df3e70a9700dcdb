"""Reruns: what a new run takes over from the run that it repeats (protocol: api.md §5.5)."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import Invalid
from ..limits import MAX_STEP_BYTES, MAX_STEP_ID_BYTES
from ..values import canonical, ids
from ..values.checks import MOST_LEVELS, is_deeper, kind
from ..values.json_types import JsonObject

# Of these SDKs' languages steps run with new input. All others take the input for the result.
TAKE_INPUT = frozenset({"js", "celery"})
# What ends these is no result that a step has computed.
_NOT_GIVEN = frozenset({"Sleep", "WaitForEvent", "WaitForSignal", "CeleryTask"})


@dataclass(frozen=True, slots=True)
class FromStep:
    """The step that a rerun begins with; `input` holds its new arguments (execution.md §2) or None.

    `step_id` is the step's id as user code writes it, or its hash. `for_task` says that the input
    is an object with the arguments of a Celery task. With `result`, a memo as SDKs get it, the step
    does not run: the rerun begins after it.
    """

    step_id: str
    input: str | None = None
    for_task: bool = False
    result: str | None = None

    def check(self, *, task: bool) -> None:
        """Raise Invalid if only a Celery task could have this input, and the step is none."""
        if self.for_task and not task:
            raise _no_array(canonical.loads(self.input or "")["input"])


@dataclass(frozen=True, slots=True)
class NewData:
    """The data that the new run's event has in place of the old one's."""

    data: JsonObject


def from_step(step_id: object, given: object = None) -> FromStep:
    """Check the step that a rerun begins with; `given` is the array of its new arguments, or None.

    A Celery task may also get an object with `args`, `kwargs` or both; what it lacks stays.
    Raises Invalid, which names the field.
    """
    known = _step_id(step_id)
    if given is None:
        return FromStep(known)
    for_task = _is_for_task(given)
    if not isinstance(given, list) and not for_task:
        raise _no_array(given)
    return FromStep(known, _stored("input", given), for_task)


def with_result(step_id: object, given: object) -> FromStep:
    """Check a step and the result that it has in a rerun, any JSON value. Raises Invalid."""
    return FromStep(_step_id(step_id), result=_stored("data", given, "result"))


def may_be_given(op: str) -> bool:
    """Say whether a step of this kind may get a result by hand."""
    return op not in _NOT_GIVEN


def _step_id(given: object) -> str:
    if not isinstance(given, str) or not given or "\0" in given:
        raise Invalid("stepId must be a step's id", field="fromStep.stepId")
    if len(given.encode("utf-8", "replace")) > MAX_STEP_ID_BYTES:
        raise Invalid(f"stepId is over {MAX_STEP_ID_BYTES} bytes", field="fromStep.stepId")
    return given


def _stored(key: str, given: object, word: str = "input") -> str:
    """Write a value as a memo holds it, within the limits of a step's result."""
    text, field = canonical.dumps_event({key: given}).decode(), f"fromStep.{word}"
    if len(text.encode()) > MAX_STEP_BYTES:
        raise Invalid(f"{word} is over {MAX_STEP_BYTES} bytes", field=field)
    if is_deeper(text, MOST_LEVELS):
        raise Invalid(f"{word} is nested deeper than {MOST_LEVELS} levels", field=field)
    return text


def _is_for_task(given: object) -> bool:
    """Say whether an input is the arguments of a Celery task. Raises Invalid for wrong ones."""
    if not isinstance(given, dict) or not given or not given.keys() <= {"args", "kwargs"}:
        return False
    for name, wanted, text in (("args", list, "an array"), ("kwargs", dict, "an object")):
        if name in given and not isinstance(given[name], wanted):
            where = f"input.{name}"
            problem = f"{where} must be {text}, not {kind(given[name])}"
            raise Invalid(problem, field=f"fromStep.{where}")
    return True


def _no_array(given: object) -> Invalid:
    objects = "; of a Celery task also an object of args and kwargs alone"
    more = objects if isinstance(given, dict) else ""
    problem = f"input must be an array of the step's arguments, not {kind(given)}{more}"
    return Invalid(problem, field="fromStep.input")


def split(stack: Sequence[str], others: Sequence[str], step_id: str) -> tuple[str, list[str]]:
    """Return the step's hash, and the steps before it in the order of the stack.

    `others` are the hashes of steps without a result: all of the stack is before each of them.
    Raises Invalid for a step that the run has not reached.
    """
    for candidate in (step_id, hashed(step_id)):
        if candidate in stack:
            return candidate, list(stack[: list(stack).index(candidate)])
        if candidate in others:
            return candidate, list(stack)
    raise Invalid(f"the run has no step {step_id[:80]!r}", field="fromStep.stepId")


def hashed(step_id: str) -> str:
    """Hash a step's id as SDKs do; an id that no SDK hashes stays as it is."""
    try:
        return ids.step_hash(step_id)
    except UnicodeEncodeError:  # half of a surrogate pair: no SDK hashes that
        return step_id
