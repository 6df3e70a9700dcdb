"""Checkpoints: finished steps that an SDK reports while its request is still open.

Protocol: checkpointing.md §2. A dispatch is one request for an item. Each request holds a token
for its dispatch, and the SDK sends that token with its checkpoints.
"""

import base64
import binascii
from dataclasses import dataclass, field

from ..errors import Invalid, Superseded, TooLarge
from ..limits import MAX_STEPS
from ..runs import metadata
from ..runs.items import Item
from ..runs.metadata import Target, Update
from ..steps import defers, opcodes
from ..steps.defers import Defer
from ..steps.opcodes import STORED, Op, Opcode
from ..values import canonical
from ..values.checks import MOST_LEVELS
from ..values.json_types import JsonObject
from .decide import result_of
from .plans import StepResult, TimelineEntry

_ALLOWED = STORED | {Opcode.STEP_PLANNED, Opcode.DEFER_ADD, Opcode.DEFER_ABORT}


@dataclass(frozen=True, slots=True)
class Dispatch:
    """One request for an item. Another lease or generation makes it another dispatch."""

    item_id: str
    lease_id: str
    generation: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What one checkpoint call reports; `notes` is the steps' metadata."""

    dispatch: Dispatch
    results: list[StepResult] = field(default_factory=list)
    timeline: list[TimelineEntry] = field(default_factory=list)
    defers: list[Defer] = field(default_factory=list)
    notes: list[tuple[Target, Update]] = field(default_factory=list)


def token(item: Item) -> str:
    """Write the token of a leased item's dispatch, which SDKs get as `ctx.qi_id`."""
    return base64.b64encode(f"{item.id}::{item.lease_id}::{item.generation}".encode()).decode()


def read_token(text: object) -> Dispatch:
    """Read the dispatch that token() wrote. Raises Invalid."""
    if not isinstance(text, str) or not text:
        raise Invalid("qi_id is missing: send the ctx.qi_id of the request", field="qi_id")
    try:
        item_id, lease_id, generation = base64.b64decode(text, validate=True).decode().split("::")
        if "\0" in item_id or not (generation.isascii() and generation.isdigit()):
            raise ValueError
        return Dispatch(item_id, lease_id, int(generation[:10]))
    except (binascii.Error, ValueError):
        raise Invalid("qi_id is not a ctx.qi_id of this server", field="qi_id") from None


def parse(body: bytes, run_id: str) -> Checkpoint:
    """Read an async checkpoint of a run.

    Raises Invalid, TooLarge for a step over its limit, and Superseded when `generation_id` is
    not the generation in the token.
    """
    given = read_body(body, run_id)
    dispatch = read_token(given.get("qi_id"))
    generation = given.get("generation_id")
    if isinstance(generation, int) and generation > 0 and generation != dispatch.generation:
        raise Superseded
    ops = read_ops(given.get("steps"))
    for op in ops:
        if op.code not in _ALLOWED and (op.code is not Opcode.NONE or op.id):
            raise Invalid(f"opcode {op.code.value} cannot be checkpointed", field="steps")
    stored = [result_of(op, failed=False) for op in ops if op.code in STORED]
    results, timeline = [result for result, _ in stored], [entry for _, entry in stored]
    return Checkpoint(dispatch, results, timeline, defers.read(ops), metadata.of_ops(ops, 0))


def read_body(body: bytes, run_id: str | None) -> JsonObject:
    """Read the object that every checkpoint call sends. Raises Invalid."""
    given = canonical.loads(body, MOST_LEVELS + 1 + opcodes.WRAPPED)
    if not isinstance(given, dict):
        raise Invalid("a checkpoint is a JSON object")
    if run_id is not None and given.get("run_id") not in (None, run_id):
        raise Invalid("run_id is not the run of the URL", field="run_id")
    return given


def read_ops(steps: object) -> list[Op]:
    """Read the ops of a checkpoint; null means none. Raises Invalid or TooLarge."""
    if steps is None:
        return []
    if not isinstance(steps, list):
        raise Invalid("steps must be an array of ops", field="steps")
    if len(steps) > MAX_STEPS:
        raise TooLarge(f"a checkpoint may have {MAX_STEPS} ops at most")
    return opcodes.read(steps)
