"""The steps that a run has: what is compared with what new code asks for."""

from collections.abc import Iterable
from typing import NamedTuple

from ..runs.items import ItemKind
from ..steps.wait_results import read_wait
from ..steps.waits import WaitKind
from ..values import canonical
from .findings import Kind, KnownStep

_BY_OP = {
    "Sleep": Kind.SLEEP,
    "WaitForEvent": Kind.WAIT,
    "WaitForSignal": Kind.SIGNAL,
    "InvokeFunction": Kind.INVOKE,
    "AIGateway": Kind.AI,
    "step.ai.infer": Kind.AI,
    "Gateway": Kind.HTTP,
}
_BY_WAIT = {WaitKind.EVENT: Kind.WAIT, WaitKind.SIGNAL: Kind.SIGNAL, WaitKind.INVOKE: Kind.INVOKE}
_OF_STEPS = frozenset({ItemKind.EDGE, ItemKind.SLEEP, ItemKind.WAIT, ItemKind.GATEWAY})


class StoredStep(NamedTuple):
    """A step with a result, as its row has it."""

    hash: str
    name: str
    op: str
    output: str


class QueuedStep(NamedTuple):
    """A queue item; `step` is None for a discovery."""

    kind: str
    step: str | None
    step_name: str | None
    opts: str | None


def kind_of_op(op: str) -> Kind:
    """Say what sort of step an opcode, or the type of a stored step, stands for."""
    return _BY_OP.get(op, Kind.STEP)


def known(stored: Iterable[StoredStep], queued: Iterable[QueuedStep]) -> list[KnownStep]:
    """List a run's steps: stored ones in the order of the stack, then those that have not ended."""
    found = {
        step.hash: KnownStep(step.hash, step.name, kind_of_op(step.op), step.output)
        for step in stored
    }
    for item in queued:
        if item.step is not None and item.step not in found and ItemKind(item.kind) in _OF_STEPS:
            name = item.step_name or item.step
            found[item.step] = KnownStep(item.step, name, _kind_of_item(item))
    return list(found.values())


def _kind_of_item(item: QueuedStep) -> Kind:
    kind = ItemKind(item.kind)
    if kind is ItemKind.WAIT:
        return _BY_WAIT[read_wait(item.opts).kind]
    if kind is ItemKind.GATEWAY:
        return kind_of_op(canonical.loads(item.opts or "{}").get("op", ""))
    return Kind.SLEEP if kind is ItemKind.SLEEP else Kind.STEP
