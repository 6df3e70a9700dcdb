"""What operations do with a chunk of items, in the transaction of their progress."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection, RowMapping

from ...domain.errors import InngestPyError
from ...domain.operations.operations import Kind, Outcome
from ...domain.operations.selections import EventSelection, Selection
from ...domain.reply.timeouts import cancellation_entry
from ...domain.runs.runs import Run
from ...storage.events import events
from ..admin import rerun
from ..admin.bulk_cancel import cancel_together
from ..flow import concurrency
from ..flow.arrivals import Arrival, Trigger
from ..flow.concurrency import Lines
from ..intake import publish
from ..intake.started import Started
from ..runtime.context import Context
from ..work.end_run import signal_cancelled
from .selecting import function_of


@dataclass(frozen=True, slots=True)
class Handled:
    """What became of an item; `run_id` is the run that was made of it."""

    item_id: str
    outcome: Outcome
    run_id: str | None = None
    reason: str | None = None


@dataclass(slots=True)
class Acted:
    """What became of items, and what to send after the commit."""

    handled: list[Handled] = field(default_factory=list)
    started: Started = field(default_factory=Started)
    cancelled: list[Run] = field(default_factory=list)

    def send(self, ctx: Context) -> None:
        """Send hints and signals; call after the commit."""
        self.started.send(ctx)
        for run in self.cancelled:
            signal_cancelled(run)


Act = Callable[[Connection, Context, RowMapping, Selection, Sequence[str]], Acted]


def _rerun(
    tx: Connection, ctx: Context, row: RowMapping, chosen: Selection, ids: Sequence[str]
) -> Acted:
    acted = Acted()
    lines: Lines = {}
    for run_id in ids:
        try:
            new_id, began = rerun.write(tx, ctx, run_id, lines)
        except InngestPyError as error:  # refused, before anything was written
            acted.handled.append(Handled(run_id, Outcome.SKIPPED, reason=error.message))
            continue
        acted.started.join(began)
        acted.handled.append(Handled(run_id, Outcome.SUCCEEDED, new_id))
    if lines:
        # once for all: a second call could wait for one that another transaction holds
        acted.started.hints += concurrency.let_in(tx, ctx, lines, ctx.now())
    return acted


def _cancel(
    tx: Connection, ctx: Context, row: RowMapping, chosen: Selection, ids: Sequence[str]
) -> Acted:
    text = f"Cancelled by the operation {row['name']} ({row['id']})."
    shown = cancellation_entry("CancelledByRequest", text, {"operationID": row["id"]})
    cancelled, started = cancel_together(tx, ctx, ids, shown)
    done = {run.id for run in cancelled}
    handled = [
        Handled(run_id, Outcome.SUCCEEDED)
        if run_id in done
        else Handled(run_id, Outcome.SKIPPED, reason="the run had ended already")
        for run_id in ids
    ]
    return Acted(handled, started, cancelled)


def _replay(
    tx: Connection, ctx: Context, row: RowMapping, chosen: Selection, ids: Sequence[str]
) -> Acted:
    """Make a run of each event, as if it came now; ids of events and rate limits do not count."""
    assert isinstance(chosen, EventSelection)
    now, function = ctx.now(), function_of(ctx, tx, chosen)
    rows = events.by_ids(tx, ids)
    acted, arrivals = Acted(), []
    for event_id in ids:
        if event_id not in rows:
            gone = "the event has been deleted meanwhile"
            acted.handled.append(Handled(event_id, Outcome.SKIPPED, reason=gone))
            continue
        trigger = Trigger.of(rows[event_id])
        trigger.event = replace(trigger.event, external_id=event_id)
        arrivals.append(Arrival(trigger, function, ctx.new_id(now)))
    publish.create(tx, ctx, arrivals, now, acted.started)
    for arrival in arrivals:
        skipped = arrival.skip_reason is not None
        outcome = Outcome.SKIPPED if skipped else Outcome.SUCCEEDED
        acted.handled.append(
            Handled(arrival.event.id, outcome, arrival.run_id, arrival.skip_reason)
        )
    return acted


ACTS: dict[Kind, Act] = {
    Kind.RERUN: _rerun,
    Kind.CANCEL: _cancel,
    Kind.REPLAY_EVENTS: _replay,
}
