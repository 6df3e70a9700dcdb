"""Writes: a plan to be written, and the rows that it becomes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import TypeVar

from ...domain.reply.plans import FollowUp, Plan, StepResult, TimelineEntry
from ...domain.runs.items import HINT_GRACE, Item, ItemKind, ItemState
from ...domain.runs.runs import Run, RunStatus
from ...domain.steps import tasks
from ...storage.db.row_types import RowValues
from ...storage.queue import queue_items
from ...storage.queue.queue_items import ItemRow
from ...storage.runs import attempts
from ..flow import concurrency
from ..intake.started import Started
from ..runtime.context import Context, Hint

V = TypeVar("V")
# what ends in a request to a worker; and for how long a gateway remembers such items
_CALLING = (ItemKind.START, ItemKind.EDGE, ItemKind.SLEEP)
_SOON = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Call:
    """The request that the plan was made from; `http_status` is None when no answer came.

    `worker` made it, as attempts name it; None if nothing was asked of anybody.
    """

    started_at: datetime
    ended_at: datetime
    http_status: int | None = None
    worker: str | None = None


@dataclass(slots=True)
class Applied:
    """What was written. `next` is the run's following item, leased to this worker already.

    `started` is what the shared commit started; its first writer has it for all. `later` are items
    that this process begins itself when they are due.
    """

    next: Item | None = None
    hints: list[Hint] = field(default_factory=list)
    later: list[tuple[datetime, Hint]] = field(default_factory=list)
    stored: list[StepResult] = field(default_factory=list)
    step_count: int = 0
    request_version: int = -1
    force_plan: bool = False
    may_continue: bool = False  # the run's row, read under its lock, is not held by a pause
    started: Started = field(default_factory=Started)
    finished: tuple[RunStatus, str | None] | None = None


@dataclass(slots=True)
class PlanWrite:
    """A plan to write, which consumes its item.

    With `wants_next`, the worker would keep the lease for the run's next item and continue. A
    process that `is_gateway` has a connected worker of the app.
    """

    ctx: Context
    run: Run
    item: Item
    plan: Plan
    call: Call
    wants_next: bool
    is_gateway: bool = False
    done: Applied = field(default_factory=Applied)
    follow_ups: list[FollowUp] = field(default_factory=list)
    gets_next: bool = False  # `wants_next`, unless an item ahead waits for the run's slots

    @property
    def counts(self) -> bool:
        """Whether the plan changes the run's row before its end, or needs to know its steps."""
        plan = self.plan
        moved = bool(plan.results) or plan.group is not None or plan.request_version >= 0
        return moved or bool(plan.defers) or bool(plan.follow_ups) or plan.tasks is not None

    @property
    def plain(self) -> bool:
        """Whether the plan does nothing but store results of a run without limits."""
        plan = self.plan
        more = plan.group is not None or plan.finish is not None or plan.retry is not None
        more = more or plan.closes or plan.halts or bool(plan.defers)
        more = more or self.run.slots is not None
        return bool(plan.results) and not more


def waves(values: Sequence[V], key: Callable[[V], str]) -> list[list[V]]:
    """Split values into parts that have each key at most once, in the order of the keys."""
    parts: list[list[V]] = []
    for _, same in groupby(sorted(values, key=key), key):
        for place, value in enumerate(same):
            if place == len(parts):
                parts.append([])
            parts[place].append(value)
    return parts


def item_row(write: PlanWrite, follow_up: FollowUp) -> ItemRow:
    """Make the row of an item that follows from the write."""
    now = write.call.ended_at
    return queue_items.new_row(
        write.ctx.new_id(now),
        follow_up.kind,
        write.run.id,
        follow_up.key,
        due_at=now + follow_up.delay,
        now=now,
        step=follow_up.step,
        step_name=follow_up.step_name,
        current=write.done.step_count if follow_up.step is None else None,
        opts=follow_up.opts,
        lease_id=None,
        lease_until=None,
        worker=None,
        **concurrency.columns(write.run.slots, follow_up.kind),
        generation=0,
    )


def hint_at(write: PlanWrite, kind: ItemKind, item_id: str, due_at: datetime) -> datetime:
    """Say when upkeep should hint at an item that is due later.

    The gateway of its worker begins it itself if it is due soon. Another process would claim it,
    and only put it into the waiting line of its app.
    """
    soon = write.is_gateway and kind in _CALLING and due_at <= write.call.ended_at + _SOON
    if not soon:
        return due_at
    write.done.later.append((due_at, (kind, item_id)))
    return due_at + HINT_GRACE


def lease_first(write: PlanWrite, rows: Sequence[ItemRow]) -> None:
    """Lease the first of the rows that is due now to this worker."""
    now, ctx = write.call.ended_at, write.ctx
    for row in rows:
        if row["due_at"] <= now:
            row["state"] = ItemState.LEASED.value
            row["lease_id"] = write.item.lease_id
            row["lease_until"] = now + ctx.tuning.lease
            row["worker"] = ctx.worker_id
            row["generation"] = 1
            return


def leased(row: ItemRow, lease_id: str) -> Item:
    """Make the item of a row that was written with this lease."""
    return Item(
        id=row["id"],
        kind=ItemKind(row["kind"]),
        run_id=row["run_id"],
        lease_id=lease_id,
        attempt=0,
        queued_at=row["queued_at"],
        due_at=row["due_at"],
        step=row["step"],
        step_name=row["step_name"],
        current=row["current"],
        opts=row["opts"],
    )


def attempt_row(write: PlanWrite, entry: TimelineEntry) -> RowValues:
    """Make the row of an attempt for the run's timeline."""
    item, call = write.item, write.call
    started_at, ended_at = entry.took or (call.started_at, call.ended_at)
    # a discovery found and ran this step: the item's time in the queue is not the step's
    found = entry.took is not None and item.step is None and item.attempt == 0
    row = attempts.new_row(
        write.run.id,
        entry,
        attempt=item.attempt,
        queued_at=started_at if found else item.queued_at,
        started_at=started_at,
        ended_at=ended_at,
        http_status=call.http_status,
        worker=call.worker,
    )
    if entry.op == tasks.OP:
        row["info"] = tasks.info(item.id, item.attempt)
    return row
