"""Opcodes: what an SDK asks for in a 206 answer (protocol: execution.md §4)."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from ..errors import Invalid, TooDeep
from ..limits import MAX_NAME_CHARS, MAX_SHOWN_INPUT_BYTES, MAX_STEP_ID_BYTES
from ..values import canonical, ids
from ..values.checks import CUT, MOST_LEVELS, check_text, cut
from ..values.json_types import JsonObject
from . import timing


class Opcode(StrEnum):
    """The opcodes this server acts on."""

    NONE = "None"
    STEP = "Step"
    STEP_RUN = "StepRun"
    STEP_ERROR = "StepError"
    STEP_FAILED = "StepFailed"
    STEP_PLANNED = "StepPlanned"
    SLEEP = "Sleep"
    AI_GATEWAY = "AIGateway"
    GATEWAY = "Gateway"
    WAIT_FOR_EVENT = "WaitForEvent"
    INVOKE_FUNCTION = "InvokeFunction"
    WAIT_FOR_SIGNAL = "WaitForSignal"
    RUN_COMPLETE = "RunComplete"
    DISCOVERY_REQUEST = "DiscoveryRequest"
    SYNC_RUN_COMPLETE = "SyncRunComplete"
    DEFER_ADD = "DeferAdd"
    DEFER_ABORT = "DeferAbort"


# Ops that wait for something else: an event, an invoked function's result, a signal.
WAITING = frozenset({Opcode.WAIT_FOR_EVENT, Opcode.INVOKE_FUNCTION, Opcode.WAIT_FOR_SIGNAL})
# Ops that make an answer with two or more of them a parallel group (execution.md §6.3).
PLANNING = WAITING | {
    Opcode.STEP_PLANNED,
    Opcode.SLEEP,
    Opcode.AI_GATEWAY,
    Opcode.GATEWAY,
}
# Ops that are a step's result and nothing else.
STORED = frozenset({Opcode.STEP, Opcode.STEP_RUN})
ENDING = frozenset({Opcode.RUN_COMPLETE, Opcode.SYNC_RUN_COMPLETE})
# Ops that come along with others and never count as steps (execution.md §4).
LAZY = frozenset({Opcode.DEFER_ADD, Opcode.DEFER_ABORT})
WRAPPED = 2  # levels of JSON around an op's values: the array and the op itself
_FUNCTION = ids.step_hash("complete")  # the id of ops about the function itself
_BY_NAME = {code.value.lower(): code for code in Opcode}
_NEEDS_ID = frozenset(
    {
        Opcode.STEP,
        Opcode.STEP_RUN,
        Opcode.STEP_ERROR,
        Opcode.STEP_FAILED,
        Opcode.STEP_PLANNED,
        Opcode.SLEEP,
        Opcode.AI_GATEWAY,
        Opcode.GATEWAY,
    }
    | WAITING
)


@dataclass(frozen=True, slots=True)
class Op:
    """One op of an answer; `id` is the hashed step id, "" where the op has none.

    `took` is when the step's body ran, None when the SDK does not say. `notes` is the op's
    metadata, not checked yet.
    """

    code: Opcode
    id: str = ""
    name: str = ""
    display_name: str = ""
    data: object = None
    error: JsonObject | None = None
    opts: JsonObject = field(default_factory=dict)
    took: timing.Span | None = None
    notes: tuple[JsonObject, ...] = ()

    @property
    def label(self) -> str:
        """The name for people."""
        return self.display_name or self.name or self.id

    @property
    def kind(self) -> str:
        """The step's type: `opts.type` where the SDK gives one, else the opcode."""
        given = self.opts.get("type")
        return _storable(given) if isinstance(given, str) and given else self.code.value

    @property
    def given(self) -> str | None:
        """The step's arguments as an attempt's info (JSON); None when the SDK does not say.

        Arguments over MAX_SHOWN_INPUT_BYTES are left out, as they are only for display.
        """
        if self.opts.get("input") is None:
            return None
        text = canonical.dumps({"input": self.opts["input"]}).decode()
        return text if len(text) <= MAX_SHOWN_INPUT_BYTES else None

    @property
    def races(self) -> bool:
        """Whether the op races: its run continues when the first ends (execution.md §6.3)."""
        mode = self.opts.get("parallelMode")
        return isinstance(mode, str) and mode.lower() == "race"  # Go writes "Race"

    @property
    def is_function(self) -> bool:
        """Whether the op is about the function itself: its error, when it comes with lazy ops."""
        return self.id == _FUNCTION and not self.name and not self.display_name

    @property
    def is_step(self) -> bool:
        """Whether the op is a step that will end: a group waits only for these."""
        return self.code not in (Opcode.NONE, Opcode.DISCOVERY_REQUEST) and not self.is_function


def parse(body: bytes) -> list[Op]:
    """Read the ops of a 206 body; `[]` counts as a single op None.

    Raises Invalid; its message becomes the run's function-level error.
    """
    if not body.strip():
        raise Invalid("error reading generator opcode response: the body is empty")
    try:
        found = _loads(body)
    except Invalid as error:
        raise Invalid(f"error reading generator opcode response: {error.message}") from None
    if isinstance(found, dict):
        found = [found]
    if not isinstance(found, list):
        raise Invalid("error reading generator opcode response: not an array of ops")
    return read(found) or [Op(Opcode.NONE)]


def _loads(body: bytes) -> object:
    """Read the body. Errors that are nested too deep are cut; other values raise TooDeep."""
    try:
        return canonical.loads(body, MOST_LEVELS + WRAPPED)
    except TooDeep:
        found = canonical.loads(cut(body.decode("utf-8", "replace"), MOST_LEVELS + WRAPPED))
    for op in found if isinstance(found, list) else [found]:
        rest = {key: op[key] for key in op if key != "error"} if isinstance(op, dict) else op
        if CUT in canonical.dumps(rest).decode():
            name = op.get("displayName") or op.get("name") if isinstance(op, dict) else None
            where = f" of step {name!r}" if isinstance(name, str) else ""
            raise TooDeep(f"what an op{where} holds is nested deeper than {MOST_LEVELS} levels")
    return found


def read(items: Iterable[object]) -> list[Op]:
    """Read ops that are parsed JSON already. Raises Invalid."""
    return [_parse_op(item) for item in items]


def _parse_op(item: object) -> Op:
    if not isinstance(item, dict):
        raise Invalid("error reading generator opcode response: an op is not an object")
    name = item.get("op")
    code = _BY_NAME.get(name.lower()) if isinstance(name, str) else None
    if code is None:
        raise Invalid(
            f"error reading generator opcode response: {name} does not belong to Opcode values"
        )
    op = Op(
        code=code,
        id=_id(item),
        name=_storable(_text(item, "name")[:MAX_NAME_CHARS]),
        display_name=_storable(_text(item, "displayName")[:MAX_NAME_CHARS]),
        data=item.get("data"),
        error=_object(item, "error"),
        opts=_object(item, "opts") or {},
        took=timing.read(item.get("timing")),
        notes=_notes(item.get("metadata")),
    )
    if code in _NEEDS_ID and not op.id:
        raise Invalid(f"error reading generator opcode response: {code.value} has no id")
    if code is Opcode.STEP_ERROR and op.error is None:
        raise Invalid("error reading generator opcode response: StepError has no error")
    return op


def _text(item: JsonObject, key: str) -> str:
    value = item.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Invalid(f"error reading generator opcode response: {key} is not a string")
    return value


def _notes(given: object) -> tuple[JsonObject, ...]:
    found = given if isinstance(given, list) else [given]
    return tuple(note for note in found if isinstance(note, dict) and note)


def _id(item: JsonObject) -> str:
    given = _text(item, "id")
    try:
        return check_text(given, "id", MAX_STEP_ID_BYTES, "id")
    except Invalid as error:
        raise Invalid(f"error reading generator opcode response: {error.message}") from None


def _storable(text: str) -> str:
    """Replace NUL, which PostgreSQL cannot store: a run with such an answer would never end."""
    return text.replace("\0", "\ufffd")


def _object(item: JsonObject, key: str) -> JsonObject | None:
    value = item.get(key)
    if value is None:
        return None
    if not isinstance(value, dict):
        if key == "opts":  # SDKs may send anything here; only an object means something
            return None
        return {"name": "Error", "message": str(value)}
    return value
