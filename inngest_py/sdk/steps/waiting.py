"""Waits: for a signal, and for an event that may have come already."""

from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, overload

import inngest

from .. import internals
from ..internals import AnyContext, Op, Opcode
from .arguments import check_id, check_name, milliseconds, one_of, reported


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal that has ended a wait; `data` is any JSON."""

    name: str
    data: object


@overload
def wait_for_signal(
    ctx: inngest.ContextSync,
    step_id: str,
    *,
    signal: str,
    timeout: timedelta | str,
    on_conflict: Literal["fail", "replace"] = "fail",
) -> Signal | None: ...


@overload
def wait_for_signal(
    ctx: inngest.Context,
    step_id: str,
    *,
    signal: str,
    timeout: timedelta | str,
    on_conflict: Literal["fail", "replace"] = "fail",
) -> Awaitable[Signal | None]: ...


def wait_for_signal(
    ctx: AnyContext,
    step_id: str,
    *,
    signal: str,
    timeout: timedelta | str,
    on_conflict: Literal["fail", "replace"] = "fail",
) -> Signal | Awaitable[Signal | None] | None:
    """Wait until somebody sends a signal (`POST /v1/signals`); None after the time-out.

    Only one run can wait for a signal. If another waits already, this run fails, or takes the
    signal over with `on_conflict="replace"`; then the other ends by its time-out. A signal that
    nobody waits for is not kept. Raises ValueError or TypeError.
    """
    parsed = internals.parsed(ctx, check_id(ctx, step_id))
    opts: dict[str, object] = {
        "signal": check_name("signal", signal),
        "timeout": f"{milliseconds('timeout', timeout)}ms",
        "conflict": one_of("on_conflict", on_conflict, ("fail", "replace")),
    }
    info = internals.info(parsed, Op.WAIT_FOR_SIGNAL, name=signal, opts=opts)
    return reported(ctx, info, _signal)


def _signal(found: object) -> Signal | None:
    return Signal(found["signal"], found.get("data")) if isinstance(found, dict) else None


@overload
def wait_for_event(
    ctx: inngest.ContextSync,
    step_id: str,
    *,
    event: str,
    timeout: timedelta | str,
    if_exp: str | None = None,
    look_back: bool = False,
) -> inngest.Event | None: ...


@overload
def wait_for_event(
    ctx: inngest.Context,
    step_id: str,
    *,
    event: str,
    timeout: timedelta | str,
    if_exp: str | None = None,
    look_back: bool = False,
) -> Awaitable[inngest.Event | None]: ...


def wait_for_event(
    ctx: AnyContext,
    step_id: str,
    *,
    event: str,
    timeout: timedelta | str,
    if_exp: str | None = None,
    look_back: bool = False,
) -> inngest.Event | Awaitable[inngest.Event | None] | None:
    """Wait for an event that meets the condition; None after the time-out.

    With `look_back`, an event counts too that came after the run was made and before this wait was
    reached. The earliest ends the wait; one that an earlier wait of the run got is left out. Only
    the server of inngest-py looks back. Raises ValueError or TypeError.
    """
    parsed = internals.parsed(ctx, check_id(ctx, step_id))
    name = check_name("event", event)
    opts: dict[str, object] = {"timeout": f"{milliseconds('timeout', timeout)}ms"}
    if if_exp is not None:
        opts["if"] = check_name("if_exp", if_exp)
    if not isinstance(look_back, bool):
        raise TypeError(f"look_back: give True or False, not {look_back!r}")
    if look_back:
        opts["look_back"] = True
    info = internals.info(parsed, Opcode.WAIT_FOR_EVENT, name=name, opts=opts)
    return reported(ctx, info, _event)


def _event(found: object) -> inngest.Event | None:
    return None if found is None else inngest.Event.model_validate(found)
