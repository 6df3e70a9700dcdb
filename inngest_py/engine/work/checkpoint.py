"""Checkpoints: store steps while the request that ran them is still open (checkpointing.md §2).

The order of locks is the usual one: the runs' rows, then their items. A worker that claims the
item meanwhile waits for the item's lock, and then reads a memo that has these steps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from ... import observe
from ...domain.errors import Invalid, Superseded, TooLarge
from ...domain.limits import NORMAL, RunLimits
from ...domain.reply.checkpoint import Checkpoint
from ...domain.reply.plans import StepResult, TimelineEntry
from ...domain.steps import groups
from ...storage.db.row_types import RowValues
from ...storage.queries import run_lookups
from ...storage.queue import leases
from ...storage.runs import attempts, runs, steps
from ..runtime.context import Context
from . import deferred_functions, metadata
from .writes import waves


@dataclass(slots=True)
class CheckpointWrite:
    """A checkpoint to write, and what became of it.

    `released` says that no lease holds the item any more.
    """

    run_id: str
    given: Checkpoint
    now: datetime
    limits: Mapping[str, RunLimits] = field(default_factory=dict)  # of functions with own limits
    function_id: str = ""
    stored: list[StepResult] = field(default_factory=list)
    released: bool = False

    @property
    def size(self) -> int:
        """The bytes of the checkpoint's results."""
        return sum(result.size for result in self.given.results)

    @property
    def lost(self) -> list[StepResult]:
        """The results that were stored before."""
        return [result for result in self.given.results if result not in self.stored]


def store(ctx: Context, run_id: str, given: Checkpoint) -> None:
    """Store the steps of a checkpoint in one commit, without queueing anything.

    Raises Invalid for an unknown run, TooLarge when the run would reach a limit, and Superseded
    when the request is void: the run has ended, or the item is gone or has another lease. If the
    lease has lapsed but nobody has claimed the item again, Superseded is raised too, but the steps
    are kept: no other request can be running them.
    """
    done = ctx.committer.run(
        run_id, store_all, CheckpointWrite(run_id, given, ctx.now(), ctx.run_limits)
    )
    send_signals(done)
    observe.event(
        "checkpoint.stored",
        level=10,
        run_id=run_id,
        function_id=done.function_id,
        steps=len(done.stored),
    )
    if done.released:
        observe.event("checkpoint.released", run_id=run_id, item_id=given.dispatch.item_id)
        raise Superseded


def send_signals(done: CheckpointWrite) -> None:
    """Send the signals of a checkpoint; call after the commit."""
    for result in done.stored:
        observe.send(
            observe.step_finished,
            run_id=done.run_id,
            function_id=done.function_id,
            step=result.hash,
            name=result.name,
            value=result.value,
            failed=False,
        )


def store_all(tx: Connection, writes: Sequence[CheckpointWrite]) -> Sequence[CheckpointWrite]:
    """Write the checkpoints that share a commit. Raises what store() raises if one is void."""
    if len(writes) > 1:
        runs.lock(tx, sorted({write.run_id for write in writes}))
    for wave in waves(writes, lambda write: write.run_id):
        _store(tx, wave)
    return writes


def _store(tx: Connection, wave: Sequence[CheckpointWrite]) -> None:
    rows = runs.advance(
        tx,
        [
            runs.Advance(w.run_id, len(w.given.results), w.size, version=-1, group=None)
            for w in wave
        ],
    )
    for write in wave:
        if write.run_id not in rows:
            raise _gone(tx, write.run_id)
        write.function_id = rows[write.run_id].function_id
    _hold(tx, wave)
    new = steps.add(tx, [row for w in wave for row in _step_rows(w, rows[w.run_id].step_count)])
    for write in wave:
        results = write.given.results
        write.stored = [result for result in results if (write.run_id, result.hash) in new]
        _check_limits(rows[write.run_id], write)
    found = (_correction(write, rows[write.run_id]) for write in wave)
    if corrections := [correction for correction in found if correction is not None]:
        runs.correct(tx, corrections)
    for write in wave:
        if write.given.defers:
            deferred_functions.store(tx, write.run_id, write.given.defers)
        repeated = write.given.results and not write.stored
        if write.given.notes and not repeated:
            metadata.note(tx, write.now, write.run_id, write.given.notes)
    attempts.add(tx, [row for write in wave for row in _attempt_rows(write)])


def _gone(tx: Connection, run_id: str) -> Exception:
    if run_lookups.function_of(tx, run_id) is None:
        return Invalid(f"run {run_id} does not exist", field="run_id")
    return Superseded(f"run {run_id} has ended")


def _hold(tx: Connection, wave: Sequence[CheckpointWrite]) -> None:
    """Lock the requests' items and set their attempts to 0; mark writes without a lease."""
    held = leases.lock(tx, [write.given.dispatch.item_id for write in wave])
    restarted = []
    for write in wave:
        dispatch = write.given.dispatch
        item = held.get(dispatch.item_id)
        if item is None or (item.run_id, item.generation) != (write.run_id, dispatch.generation):
            raise Superseded
        if item.lease_id not in (None, dispatch.lease_id):
            raise Superseded
        write.released = item.lease_id is None
        if item.attempt or item.current is not None:
            restarted.append(item.id)
    leases.restart_attempts(tx, restarted)


def _check_limits(row: runs.Advanced, write: CheckpointWrite) -> None:
    """Refuse steps that reach a limit: the SDK answers with them, and that ends the run (§7.5)."""
    most = write.limits.get(row.function_id, NORMAL)
    if row.step_count - len(write.lost) >= most.steps:
        raise TooLarge(f"The function run exceeded the step limit of {most.steps} steps.")
    if row.state_bytes > most.state_bytes:
        limit = f"the state size limit of {most.state_bytes} bytes"
        raise TooLarge(f"The function run exceeded {limit}.")


def _correction(write: CheckpointWrite, row: runs.Advanced) -> runs.Correction | None:
    """Take the steps out of the pending set, and steps stored before out of the counts."""
    pending = groups.read(row.pending)
    done = {result.hash for result in write.given.results}
    left = {step: races for step, races in pending.items() if step not in done}
    lost = write.lost
    if not lost and left == pending:
        return None
    kept = groups.written(left)
    fewer_bytes = sum(result.size for result in lost)
    return runs.Correction(write.run_id, row.force_plan, kept, len(lost), fewer_bytes)


def _step_rows(write: CheckpointWrite, step_count: int) -> list[RowValues]:
    first = step_count - len(write.given.results)
    return [
        {
            "run_id": write.run_id,
            "hash": result.hash,
            "position": first + place,
            "name": result.name,
            "op": result.op,
            "output": result.value,
            "stored_at": write.now,
        }
        for place, result in enumerate(write.given.results)
    ]


def _attempt_rows(write: CheckpointWrite) -> list[RowValues]:
    new = {result.hash for result in write.stored}
    return [_attempt_row(write, entry) for entry in write.given.timeline if entry.step in new]


def _attempt_row(write: CheckpointWrite, entry: TimelineEntry) -> RowValues:
    started_at, ended_at = entry.took or (write.now, write.now)
    return attempts.new_row(
        write.run_id, entry, queued_at=started_at, started_at=started_at, ended_at=ended_at
    )
