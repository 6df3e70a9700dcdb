"""Skip a wait: what a run waits for happens now, as if its time had come.

A sleep ends, a wait times out, a failed step is tried again, a run begins. The item of the wait
becomes due, so a worker does the rest as it does at the time itself. An event that a debounce or
an event batch keeps has no run yet: there is nothing to skip.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, RowMapping

from ...domain.errors import Conflict, Invalid, NotFound
from ...domain.reports.why import stamp, step_label
from ...domain.runs.items import ItemKind, ItemState, waits_for_its_time
from ...domain.runs.rerun import hashed
from ...domain.runs.runs import ENDED, RunStatus
from ...domain.steps.wait_results import read_wait
from ...domain.values import ids
from ...storage.catalog import functions as function_rows
from ...storage.events import waits
from ...storage.queries import run_lookups, why_waiting
from ...storage.queue import skipped_waits
from ..runtime import audit
from ..runtime.audit import Actor
from ..runtime.context import Context

_MOST_NAMED = 10
_MOST_TOLD = 5
_MOST_CHARS = 80


@dataclass(frozen=True, slots=True)
class Waiting:
    """A part of a run that an item will continue; `step` and `name` are None for its own code."""

    item: RowMapping
    step: str | None
    name: str | None

    @property
    def label(self) -> str:
        """Name it for people."""
        return step_label(self.name, self.step)

    @property
    def kind(self) -> str:
        """Say what would happen at its time: sleep, wait, retry, start, or the next request."""
        kind = ItemKind(self.item["kind"])
        if kind in (ItemKind.SLEEP, ItemKind.WAIT):
            return "sleep" if kind is ItemKind.SLEEP else "wait"
        if self.item["attempt"]:
            return "retry"
        return "start" if kind is ItemKind.START else "request"

    def is_meant(self, given: str) -> bool:
        """Say whether a step's id, its hash or its name, or an item's id, means this."""
        return given in (self.item["id"], self.step, self.name) or self.step == hashed(given)


def skip(ctx: Context, run_id: str, step: str | None = None, by: Actor | None = None) -> Waiting:
    """Skip a wait of a run; return it as it was.

    `step` is the step's id, its hash or its name, or the id of the wait's queue item; None means
    the only one that waits. Raises NotFound for an unknown run, Conflict when nothing waits there
    for its time any more, and Invalid for a step that the run does not have, or that may mean
    several. An operator's act is written to the audit log with it.
    """
    skipped = ctx.committer.run_once(lambda tx: _write(tx, ctx, run_id, step, by))
    ctx.hints.send([(ItemKind(skipped.item["kind"]), skipped.item["id"])])
    return skipped


def waiting_steps(ctx: Context, run_id: str) -> dict[str, str]:
    """List the steps of a run that wait for their time, each with its queue item."""
    with ctx.db.reading() as tx:
        known = [_waiting(tx, row) for row in skipped_waits.of_run(tx, run_id)]
    now = ctx.now()
    return {one.step: one.item["id"] for one in known if one.step and _is_later(one.item, now)}


def _write(
    tx: Connection, ctx: Context, run_id: str, step: str | None, by: Actor | None
) -> Waiting:
    now = ctx.now()
    _check_run(tx, run_id)
    known = [_waiting(tx, row) for row in skipped_waits.of_run(tx, run_id)]
    chosen = _chosen(known, step, now)
    item, opts = chosen.item, chosen.item["opts"]
    if item["kind"] == ItemKind.WAIT.value:
        waits.expire(tx, ids.wait_id(run_id, item["step"] or ""), now)
        wait = read_wait(opts)
        if wait.look is not None:  # it looks once more for stored events, and then times out
            opts = replace(wait, look=replace(wait.look, until=now.isoformat())).written()
    if not skipped_waits.make_due(tx, item, now, opts):
        raise Conflict(f"{chosen.label} does not wait any more", code="not_waiting")
    told = f"{chosen.kind} of {chosen.label}, due at {stamp(item['due_at'])}"
    audit.note(tx, by, now, "run.skip", run_id, told)
    return chosen


def _check_run(tx: Connection, run_id: str) -> None:
    """Raise NotFound, or Conflict if no wait of the run can be skipped."""
    run = run_lookups.get(tx, run_id)
    if run is None:
        raise NotFound(f"run {run_id} does not exist")
    if RunStatus(run["status"]) in ENDED:
        raise Conflict(f"run {run_id} has ended: it is {run['status']}", code="run_ended")
    function = function_rows.function(tx, run["function_id"])
    if function is not None and function["paused"] is not None:
        told = f"the function {run['function_slug']} is paused: resume it, then skip the wait"
        raise Conflict(told, code="paused")


def _waiting(tx: Connection, item: RowMapping) -> Waiting:
    step, name = item["step"], item["step_name"]
    if step is None and item["attempt"]:  # a step that its discovery has run, and that has failed
        failed = why_waiting.last_failure(tx, item["run_id"])
        if failed is not None and failed["step"] is not None:
            step, name = failed["step"], failed["name"]
    return Waiting(item, step, name)


def _chosen(known: Sequence[Waiting], step: str | None, now: datetime) -> Waiting:
    """Choose what is to be skipped. Raises Conflict and Invalid as skip() does."""
    later = [one for one in known if _is_later(one.item, now)]
    meant = later if step is None else [one for one in later if one.is_meant(step)]
    if len(meant) == 1:
        return meant[0]
    if meant:
        told = f"{len(meant)} parts of the run wait: name one of them as step: {_names(meant)}"
        raise Invalid(told, field="step")
    if step is None:
        told = "nothing in this run waits for its time"
        reasons = "; ".join(f"{one.label}: {_does(one.item)}" for one in known[:_MOST_TOLD])
        raise Conflict(f"{told}: {reasons}" if reasons else told, code="not_waiting")
    busy = [one for one in known if one.is_meant(step)]
    if busy:
        raise Conflict(f"{busy[0].label} does not wait: {_does(busy[0].item)}", code="not_waiting")
    others = f"what waits is {_names(later)}" if later else "nothing in this run waits for its time"
    raise Invalid(f"no step {step[:_MOST_CHARS]!r} of this run waits: {others}", field="step")


def _is_later(item: RowMapping, now: datetime) -> bool:
    return waits_for_its_time(item["kind"], item["state"], item["due_at"], now)


def _does(item: RowMapping) -> str:
    """Say what an item does that does not wait for its time."""
    state = ItemState(item["state"])
    if state is ItemState.LEASED:
        return "it runs now"
    if state is ItemState.HELD:
        return "its function was paused just now"
    return "it is due, and waits for " + ("a limit" if state is ItemState.WAITING else "a worker")


def _names(several: Sequence[Waiting]) -> str:
    """List parts by what names each of them alone."""
    names = [one.name for one in several]
    shown = [
        one.step or one.item["id"]
        if one.name is None or names.count(one.name) > 1
        else repr(one.name[:_MOST_CHARS])
        for one in several[:_MOST_NAMED]
    ]
    more = len(several) - _MOST_NAMED
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
