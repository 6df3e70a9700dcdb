"""Waking: what the end of a wait means for its run, and what a trace shows of it."""

from typing import Any

from . import canonical, plan
from .answers import Answer, ended, waiting
from .items import Item
from .opcodes import Opcode
from .runs import Run
from .waits import PauseKind

_WAIT_OPS = {
    PauseKind.EVENT: Opcode.WAIT_FOR_EVENT.value,
    PauseKind.INVOKE: Opcode.INVOKE_FUNCTION.value,
    PauseKind.SIGNAL: Opcode.WAIT_FOR_SIGNAL.value,
}


def woken(run: Run, item: Item, answer: Answer | None, *, open_until_now: bool = True) -> plan.Plan:
    """End a wait with its answer, or without one as timed out.

    A time-out closes the pause; `open_until_now` is false when that is known to be gone.
    """
    wait = waiting(item.opts)
    end = ended(wait, answer)
    full = plan.too_much_state(run, canonical.size(end.value))
    if full is not None:
        return full
    name, op = item.step_name or item.step or wait.kind.value, _WAIT_OPS[wait.kind]
    failed = end.error is not None
    result = plan.StepResult(item.step or "", name, op, end.value, races=wait.races, failed=failed)
    status = "failed" if failed else "completed"
    trace = plan.Trace(item.step, name, op, status, end.error, info=end.info)
    return plan.Plan(results=[result], traces=[trace], closes=answer is None and open_until_now)


def slept(item: Item | Any, status: str) -> plan.Trace:
    """Show a sleep that is over; `item` is the sleep's or its row."""
    name = item.step_name or item.step or "sleep"
    info = canonical.dumps({"sleepUntil": item.due_at.isoformat()}).decode()
    return plan.Trace(item.step, name, Opcode.SLEEP.value, status, info=info)


def begun(name: str, step: str, opts: str) -> plan.Trace:
    """Show a wait that begins; `opts` are those of its item."""
    wait = waiting(opts)
    info = canonical.dumps({**wait.info, "kind": wait.kind.value, "timedOut": None}).decode()
    return plan.Trace(step, name, _WAIT_OPS[wait.kind], "waiting", info=info)
