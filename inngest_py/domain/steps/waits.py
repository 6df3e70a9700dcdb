"""Waits: read the ops that wait for an event, an invoked function or a signal.

A wait is stored as a row, beside a queue item that is due when the wait times out
(protocol: waits.md §2-§5, execution.md §2).
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypedDict

from .. import cel
from ..cel.literals import written
from ..errors import Invalid
from ..events.event_record import FINISHED
from ..events.lookups import lookup
from ..events.user_events import MAX_NAME_BYTES
from ..limits import MAX_STEP_BYTES
from ..runs.runs import Run
from ..values import canonical, durations, times
from ..values.checks import MOST_LEVELS, check_text, is_deeper, kind
from ..values.json_types import JsonObject
from .opcodes import Op, Opcode

INVOKE_TIMEOUT = timedelta(days=365)
BAD_EXPRESSION = "Wait for event If expression failed to compile"
# a wait ignores events that were received longer than this before it was opened (§3)
LATE_AFTER = timedelta(seconds=5)


class WaitKind(StrEnum):
    """What the row of a wait is about; the items of the three waits store the value too."""

    EVENT = "event"
    INVOKE = "invoke"
    SIGNAL = "signal"
    CANCEL = "cancel"  # an event that cancels the run


@dataclass(frozen=True, slots=True)
class Invocation:
    """The event that an invoke step publishes; `external_id` is the id that the payload gives."""

    function: str
    data: JsonObject
    user: JsonObject
    v: str
    meta: JsonObject
    external_id: str | None


class WaitInfo(TypedDict, total=False):
    """What the timeline shows of a wait. The ids are null until they are known."""

    kind: str
    timeout: str | None
    timedOut: bool | None
    eventName: str
    expression: str | None
    foundEventID: str | None
    functionID: str
    triggeringEventID: str | None
    returnEventID: str | None
    runID: str | None
    signal: str


@dataclass(frozen=True, slots=True)
class Wait:
    """What an op waits for.

    `event_name` is None when no event can end the wait: it is for a signal, or its expression is
    false already. `expression` is what is left of the `condition`, None when every event ends the
    wait. `path` and `key` are the part of it that an index holds, "" without one. `info` is shown
    in the timeline. `replaces` means that a signal's new wait takes over from an earlier one.
    With `look_back`, an event that is stored already may end the wait.
    """

    kind: WaitKind
    timeout: timedelta
    event_name: str | None = None
    expression: str | None = None
    path: str = ""
    key: str = ""
    signal: str | None = None
    replaces: bool = False
    look_back: bool = False
    invocation: Invocation | None = None
    condition: str | None = None
    info: WaitInfo = field(default_factory=WaitInfo)


class BadExpression(Invalid):
    """The condition of a wait does not compile."""


def read(op: Op, run: Run, now: datetime) -> Wait:
    """Read an op that waits. Raises Invalid, or BadExpression for a bad condition."""
    if op.code is Opcode.WAIT_FOR_EVENT:
        return _for_event(op, run, now)
    if op.code is Opcode.INVOKE_FUNCTION:
        return _invoke(op, run, now)
    return _for_signal(op, now)


def _for_event(op: Op, run: Run, now: datetime) -> Wait:
    name = _text(op, "event") or op.name
    check_text(name, "the awaited event's name", MAX_NAME_BYTES, "event")
    if not name:
        raise Invalid("the wait names no event")
    condition = _text(op, "if") or None
    residual = _residual(condition, run, now) if condition is not None else None
    path, key = lookup(residual) if residual is not None else ("", "")
    timeout = _timeout(op, now, timedelta(0))
    return Wait(
        WaitKind.EVENT,
        timeout,
        event_name=None if residual == "false" else name,
        look_back=_looks_back(op) and residual != "false",
        expression=None if residual == "true" else residual,
        path=path,
        key=key,
        condition=condition,
        info={
            "eventName": name,
            "expression": condition,
            "foundEventID": None,
            "timeout": _stamp(now, timeout),
        },
    )


def _residual(condition: str, run: Run, now: datetime) -> str:
    """Fill the run's event into a condition; the rest is about `async` alone (waits.md §3)."""
    try:
        cel.check(condition)
        return cel.interpolate(condition, canonical.loads(run.event), now)
    except Invalid as error:
        raise BadExpression(BAD_EXPRESSION) from error


def _invoke(op: Op, run: Run, now: datetime) -> Wait:
    function = _text(op, "function_id")
    check_text(function, "opts.function_id", MAX_NAME_BYTES, "function_id")
    if not function:
        raise Invalid("the invocation names no function: opts.function_id is missing")
    timeout = _timeout(op, now, INVOKE_TIMEOUT)
    expression = f"async.data.correlation_id == {written(correlation_id(run.id, op.id))}"
    path, key = lookup(expression)
    return Wait(
        WaitKind.INVOKE,
        timeout,
        event_name=FINISHED,
        expression=expression,
        path=path,
        key=key,
        invocation=_invocation(function, op.opts.get("payload")),
        info={
            "functionID": function,
            "returnEventID": None,
            "runID": None,
            "timeout": _stamp(now, timeout),
            "triggeringEventID": None,
        },
    )


def correlation_id(run_id: str, step: str) -> str:
    """Give the id that ties an invoked run's end to the step that waits for it (waits.md §4)."""
    return f"{run_id}.{step}"


def _invocation(function: str, payload: object) -> Invocation:
    given = {} if payload is None else payload
    if not isinstance(given, dict):
        raise Invalid(f"opts.payload must be an object, not {kind(given)}")
    text = canonical.dumps(given).decode()
    if len(text.encode()) > MAX_STEP_BYTES:
        raise Invalid(f"the invocation's payload is over {MAX_STEP_BYTES} bytes")
    if is_deeper(text, MOST_LEVELS):
        raise Invalid(f"the invocation's payload is nested deeper than {MOST_LEVELS} levels")
    data = _part(given, "data")
    return Invocation(
        function=function,
        data={name: value for name, value in data.items() if name != "_inngest"},
        user=_part(given, "user"),
        v=_checked_text(given, "v"),
        meta=_part(given, "meta"),
        external_id=_checked_text(given, "id") or None,
    )


def _part(payload: JsonObject, name: str) -> JsonObject:
    value = payload.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Invalid(f"opts.payload.{name} must be an object, not {kind(value)}")
    return value


def _checked_text(payload: JsonObject, name: str) -> str:
    value = payload.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Invalid(f"opts.payload.{name} must be a string, not {kind(value)}")
    return check_text(value, f"opts.payload.{name}", MAX_NAME_BYTES, name)


def _for_signal(op: Op, now: datetime) -> Wait:
    name = check_signal(_text(op, "signal") or op.name)
    timeout = _timeout(op, now, timedelta(0))
    return Wait(
        WaitKind.SIGNAL,
        timeout,
        signal=name,
        replaces=op.opts.get("conflict") == "replace",
        info={"signal": name, "timeout": _stamp(now, timeout)},
    )


def check_signal(name: str) -> str:
    """Return the signal's name if it can be stored. Raises Invalid."""
    if not name:
        raise Invalid("the signal's name is missing", field="signal")
    return check_text(name, "the signal's name", MAX_NAME_BYTES, "signal")


def _text(op: Op, name: str) -> str:
    value = op.opts.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Invalid(f"opts.{name} must be a string, not {kind(value)}")
    return value


def _looks_back(op: Op) -> bool:
    given = op.opts.get("look_back")
    if not isinstance(given, bool | None):
        raise Invalid(f"opts.look_back must be true or false, not {kind(given)}")
    return bool(given)


def _timeout(op: Op, now: datetime, default: timedelta) -> timedelta:
    """Read a time-out: a duration, or a time, where a past one gives zero (waits.md §1)."""
    text = _text(op, "timeout")
    if not text:
        return default
    try:
        left = durations.to_timedelta(text)
    except Invalid as error:
        try:
            left = times.parse_time(text) - now
        except Invalid:
            shown = text[:64]
            raise Invalid(
                f"timeout {shown!r} is neither a duration, like 1h30m, nor a time"
            ) from error
    return max(timedelta(0), left)


def _stamp(now: datetime, timeout: timedelta) -> str | None:
    try:
        return (now + timeout).isoformat().replace("+00:00", "Z")
    except OverflowError:  # over the limit anyway
        return None
