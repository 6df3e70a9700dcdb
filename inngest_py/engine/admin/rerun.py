"""Reruns: a new run of the same function with the same event or other data, or from a step."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, RowMapping

from ...domain.errors import Invalid, NotFound
from ...domain.events.user_events import Event, repeated
from ...domain.reports.timeline import GIVEN_BY
from ...domain.runs import rerun as rules
from ...domain.runs.items import ItemKind
from ...domain.runs.rerun import FromStep, NewData
from ...domain.runs.runs import RunStatus
from ...domain.steps import tasks
from ...domain.values import canonical
from ...storage.db.row_types import RowValues
from ...storage.events import events, waits
from ...storage.operations import reruns
from ...storage.queue import queue_items
from ...storage.queue.queue_items import ItemRow
from ...storage.runs import runs
from ..flow import concurrency, throttles
from ..flow.concurrency import Lines
from ..flow.run_timeouts import start_timers
from ..intake import search_keys
from ..intake.cancel_subscriptions import subscribe
from ..intake.publish import event_row, start_item
from ..intake.started import Started
from ..runtime import audit
from ..runtime.audit import Actor
from ..runtime.catalog import Function
from ..runtime.context import Context
from ..work.celery_tasks import run_canvases


def rerun(
    ctx: Context, run_id: str, change: FromStep | NewData | None = None, by: Actor | None = None
) -> str:
    """Start the run again, whatever its status is; return the new run's id.

    From a step, the results of all steps before it in the stack are copied, and the step runs with
    its new input, if it has one (api.md §5.5), or has the result that was given. In a canvas these
    are the results of all tasks that do not follow from the step's. With other data, the run gets
    an event of its own, which starts nothing else. Raises NotFound for an unknown run, and Invalid
    if its event or function is gone, if it has no such step, or if the step or the run cannot get
    what was given. An operator's act is written to the audit log with it.
    """

    new_id, started = ctx.committer.run_once(lambda tx: _write(tx, ctx, run_id, change, by))
    started.send(ctx)
    return new_id


def _write(
    tx: Connection,
    ctx: Context,
    run_id: str,
    change: FromStep | NewData | None,
    by: Actor | None,
) -> tuple[str, Started]:
    lines: Lines = {}
    new_id, started = write(tx, ctx, run_id, lines, change, by)
    if lines:
        started.hints += concurrency.let_in(tx, ctx, lines, ctx.now())
    return new_id, started


def write(
    tx: Connection,
    ctx: Context,
    run_id: str,
    lines: Lines,
    change: FromStep | NewData | None = None,
    by: Actor | None = None,
) -> tuple[str, Started]:
    """Write a rerun; return the new run's id, and what to send after the commit.

    Adds to `lines` the waiting line that the run joins: the caller lets it in, once a transaction.
    Raises as rerun() does, before it has written anything.
    """
    now = ctx.now()
    source = _source(tx, run_id)
    new_id = ctx.new_id(now)
    row = _row(source, run_id, new_id, now)
    function = ctx.catalog.get(
        tx, source["function_id"], (source["current_version"], source["limits_revision"])
    )
    payload, event_id = source["event_payload"], source["event_id"]
    if isinstance(change, FromStep):
        row |= _from(tx, function, source, (run_id, new_id), change, by, now)
    elif change is not None:
        event = _other_event(tx, ctx, source, change, now)
        payload, event_id = event.payload, event.id
    row["event_id"] = event_id
    held = concurrency.of_rerun(function, payload, now)
    runs.add(tx, [row | concurrency.run_columns(held)])
    search_keys.of_run(tx, function.search_keys, new_id, payload, source["batch_id"])
    started = Started(runs=[(new_id, source["function_id"], event_id)])
    item: ItemRow = {
        **start_item(ctx.new_id(now), new_id, now, now),
        **throttles.of_rerun(function, payload, now),
        **concurrency.columns(held, ItemKind.START),
    }
    group = concurrency.join_line(item, held, now)
    queue_items.put(tx, [item])
    queue_items.put(tx, start_timers(ctx, function, new_id, now))
    waits.add(tx, subscribe(new_id, function, event_id, payload, now))
    if group is None:
        started.hints.append((ItemKind.START, item["id"]))
    else:
        lines[group] = function.id
    audit.note(tx, by, now, "run.rerun", run_id, f"as {new_id}{_told(change)}")
    return new_id, started


def _told(change: FromStep | NewData | None) -> str:
    if change is None:
        return ""
    if isinstance(change, NewData):
        return " with other data"
    given = ", whose result was given by hand" if change.result is not None else ""
    return f" from {change.step_id}{given}"


def _from(
    tx: Connection,
    function: Function,
    source: RowMapping,
    run_ids: tuple[str, str],
    change: FromStep,
    by: Actor | None,
    now: datetime,
) -> RowValues:
    """Copy what comes before the step; return what the new run's row says of it.

    `run_ids` are those of the old run and of the new one.
    """
    old, new = run_ids
    task = function.config.celery
    change.check(task=task is not None)
    step, taken = _steps_before(tx, function, source, old, change, now)
    row = _copy_steps(tx, old, new, taken, now)
    if task is not None and task.workflow:  # the results are of its steps
        row["function_version"] = source["function_version"]
    if change.input is not None:
        row |= {"input_step": step, "input": change.input}
    if change.result is not None:
        name, op = reruns.named(tx, old, step)
        if not rules.may_be_given(op):
            raise Invalid(
                "a sleep, a wait or a Celery task gets no result by hand: run it again",
                field="fromStep.result",
            )
        info = canonical.dumps({GIVEN_BY: "the server" if by is None else by.name}).decode()
        given: RowValues = {"hash": step, "name": name, "op": op, "output": change.result}
        row |= _counts(reruns.give(tx, new, given, info, now))
    return row


def _other_event(
    tx: Connection, ctx: Context, source: RowMapping, change: NewData, now: datetime
) -> Event:
    """Store the event of a run that gets other data. It is for this run alone."""
    if source["batch_id"] is not None:
        raise Invalid("the run has a batch of events: send events with other data", field="data")
    event = repeated(
        source["event_payload"],
        change.data,
        int(now.timestamp() * 1000),
        ctx.new_id(now),
        own=source["event_internal"],
    )
    events.put(tx, [event_row(event, now)])
    return event


def _row(source: RowMapping, run_id: str, new_id: str, now: datetime) -> RowValues:
    return {
        "id": new_id,
        "function_id": source["function_id"],
        "function_version": source["current_version"],
        "status": RunStatus.QUEUED.value,
        "queued_at": now,
        "original_run_id": run_id,
        **{name: source[name] for name in ("correlation_id", "batch_id", "cron")},
    }


def _steps_before(
    tx: Connection,
    function: Function,
    source: RowMapping,
    run_id: str,
    from_step: FromStep,
    now: datetime,
) -> tuple[str, list[str]]:
    """Find the step's hash, and those of the steps whose results the new run takes over."""
    stack, others = reruns.stack(tx, run_id), reruns.unfinished(tx, run_id)
    step, earlier = rules.split(stack, others, from_step.step_id)
    task = function.config.celery
    if task is None:
        return step, earlier
    canvas = run_canvases.of_run(tx, function, source, run_id, now)
    return step, sorted(tasks.kept(canvas, step).intersection(reruns.stack(tx, run_id, tasks.OP)))


def _copy_steps(
    tx: Connection, run_id: str, new_id: str, hashes: Sequence[str], now: datetime
) -> RowValues:
    """Copy the results of steps; return what the new run's row says of them."""
    return _counts(reruns.copy(tx, run_id, new_id, hashes, now))


def _counts(found: tuple[int, int]) -> RowValues:
    return {"step_count": found[0], "state_bytes": found[1]}


def _source(tx: Connection, run_id: str) -> RowMapping:
    found = reruns.source(tx, run_id)
    if found is None:
        raise NotFound(f"run {run_id} does not exist")
    if found["event_name"] is None:
        raise Invalid(f"the event of run {run_id} has been deleted: send it again", field="runId")
    if found["archived_at"] is not None:
        raise Invalid(
            f"function {found['function_slug']} is archived: sync its app again to rerun it",
            field="runId",
        )
    return found
