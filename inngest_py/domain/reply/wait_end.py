"""The end of a wait or sleep: what it means for the run, and what the timeline shows of it."""

from typing import Any

from ..runs.items import Item
from ..runs.runs import Run
from ..steps.opcodes import Opcode
from ..steps.wait_results import EndedBy, read_wait, wait_result
from ..steps.waits import WaitKind
from ..values import canonical
from . import decide, plans

_WAIT_OPS = {
    WaitKind.EVENT: Opcode.WAIT_FOR_EVENT.value,
    WaitKind.INVOKE: Opcode.INVOKE_FUNCTION.value,
    WaitKind.SIGNAL: Opcode.WAIT_FOR_SIGNAL.value,
}


def plan_wait_end(run: Run, item: Item, answer: EndedBy | None, *, is_open: bool) -> plans.Plan:
    """Plan the end of a wait; without an answer it has timed out.

    A wait that `is_open` is closed by the plan; otherwise an event or a signal has closed it.
    """
    wait = read_wait(item.opts)
    end = wait_result(wait, answer)
    full = decide.too_much_state(run, canonical.size(end.value))
    if full is not None:
        return full
    name, op = item.step_name or item.step or wait.kind.value, _WAIT_OPS[wait.kind]
    failed = end.error is not None
    result = plans.StepResult(item.step or "", name, op, end.value, races=wait.races, failed=failed)
    status = "failed" if failed else "completed"
    entry = plans.TimelineEntry(item.step, name, op, status, end.error, info=end.info)
    return plans.Plan(results=[result], timeline=[entry], closes=is_open)


def sleep_entry(item: Item | Any, status: str) -> plans.TimelineEntry:
    """Build the timeline's entry of a sleep that is over; `item` is its item or that item's row."""
    name = item.step_name or item.step or "sleep"
    info = canonical.dumps({"sleepUntil": item.due_at.isoformat()}).decode()
    return plans.TimelineEntry(item.step, name, Opcode.SLEEP.value, status, info=info)


def wait_entry(name: str, step: str, opts: str) -> plans.TimelineEntry:
    """Build the timeline's entry of a wait that begins; `opts` are those of its item."""
    wait = read_wait(opts)
    info = canonical.dumps({**wait.info, "kind": wait.kind.value, "timedOut": None}).decode()
    return plans.TimelineEntry(step, name, _WAIT_OPS[wait.kind], "waiting", info=info)
