"""Why a run waits: read the facts in one transaction, without locks, and put them into words.

The answer is true for the moment of the read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, RowMapping

from ...domain.connect.actions import Status
from ...domain.errors import Invalid, NotFound
from ...domain.flow import gcra, keys
from ...domain.flow import slots as slot_rules
from ...domain.flow.gcra import Rate
from ...domain.reports import why as words
from ...domain.reports.why import PlaceInLine, Reason
from ...domain.runs import outputs
from ...domain.runs.items import CELERY, SDK, ItemKind, ItemState, waits_for_its_time
from ...domain.runs.runs import ENDED, RunStatus
from ...domain.steps.wait_results import read_wait
from ...domain.steps.waits import WaitKind
from ...domain.values import canonical, ids
from ...storage.catalog import functions as function_rows
from ...storage.events import events, waits
from ...storage.queries import app_list, run_list, run_lookups, worker_list
from ...storage.queries import why_waiting as rows
from ...storage.queries.run_columns import WITH_OUTPUT
from ..flow import limits, throttles
from ..runtime.app_fairness import CONNECTED, LINE_PREFIX
from ..runtime.catalog import Function, function_of
from ..runtime.celery_apps import LINE_PREFIX as BROKER_LINE
from ..runtime.context import Context
from . import why_task_waits

_NO_WORK = (ItemKind.TIMEOUT, ItemKind.REPLACE)  # they may end a run, but no run waits for them
_MOST_ERROR_CHARS = 500


@dataclass(frozen=True, slots=True)
class Explained:
    """A run or an event with what it waits for; `more` says that not everything was read.

    `phase` is that of a run that has not ended.
    """

    id: str
    status: str
    reasons: list[Reason]
    more: bool = False
    phase: str | None = None


@dataclass(slots=True)
class _Facts:
    """The facts that the reasons of one run share."""

    tx: Connection
    ctx: Context
    run: RowMapping
    function: Function
    paused_at: datetime | None
    now: datetime
    event: Mapping[str, object]
    workers: int


def of_run(ctx: Context, run_id: str) -> Explained:
    """Say why a run waits, or what ended it. Raises NotFound."""
    with ctx.db.reading() as tx:
        run = run_lookups.get(tx, run_id, WITH_OUTPUT)
        if run is None:
            raise NotFound(f"run {run_id} does not exist")
        status = RunStatus(run["status"])
        if status in ENDED:
            return Explained(run_id, status.value, [_ended(tx, run, status)])
        facts = _facts(tx, ctx, run)
        items = rows.items(tx, run_id, _NO_WORK)
        waiting = {row["item_id"]: row for row in waits.of_run(tx, run_id)}
        reasons = [_with_item(facts, item, waiting.get(item["id"])) for item in items]
        app = app_list.by_ids(tx, [facts.function.app_id])[facts.function.app_id]
    if not reasons:
        reasons = [words.nothing(run["started_at"] or run["queued_at"])]
    if app["down_since"] is not None:
        down = words.app_down(app["name"], app["down_cause"] or "", app["down_since"])
        reasons.insert(0, down)
    reasons += words.overdue(reasons, facts.workers, facts.now)
    if any(one.kind == "worker" for one in reasons) and not ctx.hints.reachable():
        reasons.append(words.broker_away())
    return Explained(run_id, status.value, reasons, len(items) == rows.MOST_ITEMS, run["phase"])


def _facts(tx: Connection, ctx: Context, run: RowMapping) -> _Facts:
    row = function_rows.function(tx, run["function_id"])
    event = events.get(tx, run["event_id"])
    if row is None or event is None:
        raise NotFound(f"run {run['id']} has lost its function or its event")
    now = ctx.now()
    return _Facts(
        tx=tx,
        ctx=ctx,
        run=run,
        function=function_of(row),
        paused_at=row["paused_at"],
        now=now,
        event=canonical.loads(event["payload"]),
        workers=rows.alive(tx, now),
    )


def _ended(tx: Connection, run: RowMapping, status: RunStatus) -> Reason:
    if status is RunStatus.SKIPPED:
        return words.skipped(run["skip_reason"], run["existing_run_id"], run["queued_at"])
    text, name = None, None
    if status is RunStatus.FAILED and run["output"] is not None:
        text, name = _said(run["output"])
    elif status is RunStatus.CANCELLED:
        cause = rows.last_failure(tx, run["id"], op="Cancellation")
        if cause is not None:
            text, name = _said(cause["error"])
    return words.ended(status.value, run["ended_at"], text, name)


def _said(stored: str) -> tuple[str, str]:
    """Read an error's message, cut if it is long, and the error's name."""
    try:
        error = outputs.error_object(canonical.loads(stored), None)
    except Invalid:
        return stored[:_MOST_ERROR_CHARS], "Error"
    return str(error.get("message") or error["name"])[:_MOST_ERROR_CHARS], str(error["name"])


def _with_item(facts: _Facts, item: RowMapping, wait: RowMapping | None) -> Reason:
    """Say what an item waits for; with the item, if that is its time alone."""
    found = _reason(facts, item, wait)
    by_time = waits_for_its_time(item["kind"], item["state"], item["due_at"], facts.now)
    if by_time and facts.function.paused is None:
        return replace(found, item=item["id"])
    return found


def _reason(facts: _Facts, item: RowMapping, wait: RowMapping | None) -> Reason:
    """Say what one queue item of the run waits for."""
    kind, state = ItemKind(item["kind"]), ItemState(item["state"])
    label = words.step_label(item["step_name"], item["step"])
    holder = item["worker"] or ""
    if state is ItemState.LEASED and item["task"] is not None and holder.startswith(CELERY):
        return why_task_waits.sent(facts.tx, item, label, facts.now)
    if state is ItemState.LEASED:
        return _calling(facts, item, kind, label)
    if state is ItemState.HELD or facts.function.paused is not None:
        later = item["due_at"] > facts.now
        return words.paused(facts.function.slug, facts.paused_at, item["due_at"] if later else None)
    if state is ItemState.WAITING and item["gate"].startswith(BROKER_LINE):
        return why_task_waits.not_sent(facts.tx, facts.function.app_id, item, label)
    if state is ItemState.WAITING:
        return _in_line(facts, item)
    since, due_at = item["queued_at"], item["due_at"]
    if kind is ItemKind.WAIT and due_at > facts.now and item["answer"] is None:
        return _waiting(facts, item, wait, label)
    if due_at <= facts.now:
        ahead = rows.due_before(facts.tx, item, facts.now)
        let_in = item["gate"] is not None
        return words.due(label, facts.workers, ahead, due_at, is_let_in=let_in)
    if kind is ItemKind.SLEEP:
        return words.sleep(label, since, due_at)
    if item["attempt"]:
        return _retry(facts, item, label)
    if kind is ItemKind.START:
        return words.scheduled(facts.run["queued_at"], due_at)
    return words.delayed(label, since, due_at)


def _calling(facts: _Facts, item: RowMapping, kind: ItemKind, label: str) -> Reason:
    leased = datetime.fromtimestamp(ids.ulid_ms(item["lease_id"]) / 1000, UTC)
    since = max(leased, min(item["queued_at"], facts.now))
    holder = item["worker"] or "a worker"
    if holder == SDK:
        name = "Its SDK, in a request of its own,"
    else:
        worker = rows.worker(facts.tx, holder)
        name = f"Worker {worker['name']}" if worker is not None else f"Worker {holder}"
    gateway = kind is ItemKind.GATEWAY
    return words.calling(
        label, name, since, item["lease_until"], facts.now, gateway=gateway, workers=facts.workers
    )


def _retry(facts: _Facts, item: RowMapping, label: str) -> Reason:
    failed = rows.last_failure(facts.tx, facts.run["id"], step=item["step"])
    if failed is not None and failed["step"] is not None:
        label = words.step_label(failed["name"], failed["step"])
    text = None if failed is None else _said(failed["error"])[0]
    most = facts.function.config.retries + 1
    since = facts.run["queued_at"] if failed is None else failed["ended_at"]
    return words.retry(label, item["attempt"], most, text, since, item["due_at"])


def _in_line(facts: _Facts, item: RowMapping) -> Reason:
    gate = item["gate"]
    if gate.startswith(LINE_PREFIX + CONNECTED):
        app_id = facts.function.app_id
        found = worker_list.connections(facts.tx)
        mine = [one for one in found if app_id in canonical.loads(one["groups"])]
        ready = sum(one["status"] == Status.READY for one in mine)
        return words.no_worker(facts.function.app_name, len(mine), ready, item["queued_at"])
    if gate.startswith(LINE_PREFIX):
        return words.app_busy(gate.removeprefix(LINE_PREFIX), item["queued_at"])
    ahead = rows.ahead(facts.tx, item)
    if gate.startswith(slot_rules.PREFIXES):
        return _slots(facts, item, gate, ahead)
    rule = limits.throttle(facts.function, facts.now)
    if rule is None:
        return words.throttled(None, None, ahead, None, item["queued_at"])
    rate, number = Rate.of_throttle(rule), rows.arrival(facts.tx, gate) or 0
    opens = max(facts.now, gcra.to_time(max(0, gcra.opens_ns(rate, number))))
    opens = words.let_in_at(opens, timedelta(microseconds=rate.interval_ns // 1000), ahead)
    value = keys.text(rule.key, facts.event, facts.now) if rule.key else None
    timer = rows.timer(facts.tx, throttles.timer_key(gate))
    since = item["queued_at"]
    if timer is not None and not ahead:
        opens = max(opens, timer["due_at"])
    return words.throttled(rule, value, ahead, opens, since)


def _slots(facts: _Facts, item: RowMapping, gate: str, ahead: int) -> Reason:
    config = limits.effective(facts.function, facts.now)
    rule = slot_rules.entry(gate, facts.function.id, config.concurrency, config.run_concurrency)
    held, holders = rows.holders(facts.tx, gate)
    value = None
    if rule is not None and rule.key is not None:
        value = keys.text(rule.key, facts.event, facts.now)
    unit = "runs" if gate.startswith("run:") else "steps"
    return words.slot(PlaceInLine(unit, rule, value, held, holders, ahead), item["queued_at"])


def _waiting(facts: _Facts, item: RowMapping, row: RowMapping | None, label: str) -> Reason:
    """Say which event, signal or invoked run ends a wait."""
    wait, since = read_wait(item["opts"]), item["queued_at"]
    info, due_at = wait.info, item["due_at"] if wait.look is None else wait.look.times_out
    if wait.kind is WaitKind.SIGNAL:
        return words.signal(label, str(info.get("signal")), since, due_at)
    if wait.kind is WaitKind.INVOKE:
        event_id = info.get("triggeringEventID")
        child = _child(facts.tx, event_id) if event_id else None
        name = str(info.get("functionID"))
        return words.invoked(label, name, child, event_id, since, due_at)
    name = str(info.get("eventName") or (row and row["event_name"]))
    return words.event(label, name, info.get("expression"), since, due_at)


def _child(tx: Connection, event_id: str) -> tuple[str, str] | None:
    found = run_list.of_event(tx, event_id)
    return (found[0]["id"], found[0]["status"]) if found else None
