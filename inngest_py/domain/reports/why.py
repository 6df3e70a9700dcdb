"""Why a run waits, or what ended it: texts for people, with fields for programs.

Only the wording is here: engine/admin/why_run_waits.py reads the facts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ..connect.codes import NO_WORKER
from ..functions.function_limits import Concurrency, Throttle
from ..values.dataclass_json import duration_text
from ..values.json_types import JsonObject

MOST_COUNTED = 10_000  # a longer waiting line is "more than" that
_MOST_KEY_CHARS = 200


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that a run or an event waits for.

    `since` is when the wait began, `until` when it ends by itself; None when that is not known.
    `details` are fields of this kind alone: ids, counts, names. `item` is the queue item that is
    due when the wait's time comes; None if it does not wait for its time.
    """

    kind: str
    text: str
    since: datetime | None = None
    until: datetime | None = None
    details: Mapping[str, object] = field(default_factory=dict)
    item: str | None = None


def stamp(moment: datetime) -> str:
    """Write a time for people, in UTC."""
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def step_label(name: str | None, step: str | None) -> str:
    """Name a step for people; without one, the function itself."""
    return f"step {name or step!r}" if name or step else "the function"


def _counted(number: int) -> str:
    return f"more than {MOST_COUNTED}" if number > MOST_COUNTED else str(number)


def _others(number: int) -> str:
    if number == 0:
        return "it is the first in line"
    return f"{_counted(number)} {'is' if number == 1 else 'are'} ahead of it in line"


def _key(expression: str | None, value: str | None) -> str:
    if expression is None:
        return ""
    shown = "" if value is None else f" = {value[:_MOST_KEY_CHARS]!r}"
    return f" for {expression}{shown}"


@dataclass(frozen=True, slots=True)
class PlaceInLine:
    """A place in a line for slots of a `unit` (steps or runs): who holds slots, how many are ahead.

    `rule` is None when the function no longer has that limit; `value` is that of the rule's key.
    """

    unit: str
    rule: Concurrency | None
    value: str | None
    held: int
    holders: Sequence[str]
    ahead: int


def slot(line: PlaceInLine, since: datetime) -> Reason:
    """Say that it waits for a slot of a limit of concurrency."""
    rule = line.rule
    details: JsonObject = {
        "limit": None if rule is None else rule.limit,
        "unit": line.unit,
        "scope": None if rule is None else rule.scope,
        "key": None if rule is None else rule.key,
        "value": None if line.value is None else line.value[:_MOST_KEY_CHARS],
        "ahead": line.ahead,
        "held": line.held,
        "holders": list(line.holders),
    }
    if rule is None:
        text = "Waited for a limit that its function no longer has: it is let in within a second."
        return Reason("concurrency", text, since, None, details)
    key = _key(rule.key, line.value)
    scope = "" if rule.scope == "fn" else f" in the {rule.scope}"
    text = (
        f"Waits for a slot: at most {_so_many(rule.limit, line.unit)} at a time{scope}{key}, "
        f"{line.held} of them taken; {_others(line.ahead)}."
    )
    if line.holders:
        text += f" Slots are held by {', '.join(line.holders)}."
    return Reason("concurrency", text, since, None, details)


def _so_many(number: int, several: str) -> str:
    return f"{number} {several.removesuffix('s') if number == 1 else several}"


def no_worker(app: str, connected: int, ready: int, since: datetime) -> Reason:
    """Say that no connected worker of its app takes it; `ready` of them take work at all."""
    if not connected:
        text = f"Waits for a worker: none of {app} is connected ({NO_WORKER})."
    elif not ready:
        them = "worker" if connected == 1 else f"{connected} workers"
        text = f"Waits for a worker: the connected {them} of {app} get no more work: drained, or"
        text += " about to stop."
    else:
        text = f"Waits for a worker: the {ready} of {app} that are connected have no room."
    details: JsonObject = {"app": app, "connected": connected, "ready": ready}
    return Reason("app", text, since, None, details)


def app_busy(host: str, since: datetime) -> Reason:
    """Say that its app already has its share of the calls in flight."""
    text = (
        f"Waits for its app: {host} already has its share of the workers' calls in flight and"
        " answers slowly. The run continues as those calls end."
    )
    return Reason("app", text, since, None, {"host": host})


def app_down(app: str, cause: str, since: datetime) -> Reason:
    """Say that its app cannot be reached."""
    text = f"The app {app} is down since {stamp(since)}: {cause}. Its calls are tried again."
    return Reason("app_down", text, since, None, {"app": app, "cause": cause})


def throttled(
    rule: Throttle | None, value: str | None, ahead: int, opens: datetime | None, since: datetime
) -> Reason:
    """Say that its throttle delays it; `opens` is when it may start."""
    details: JsonObject = {
        "limit": None if rule is None else rule.limit,
        "period": None if rule is None else duration_text(rule.period),
        "burst": None if rule is None else rule.burst,
        "key": None if rule is None else rule.key,
        "value": None if value is None else value[:_MOST_KEY_CHARS],
        "ahead": ahead,
    }
    if rule is None:
        text = "Waited for a throttle that its function no longer has: it is let in at once."
        return Reason("throttle", text, since, opens, details)
    text = (
        f"Throttled: {_so_many(rule.limit, 'starts')} in {duration_text(rule.period)}"
        f"{_key(rule.key, value)}; {_others(ahead)}."
    )
    if opens is not None:
        text += f" It may start at {stamp(opens)}, unless a run with a higher priority comes."
    return Reason("throttle", text, since, opens, details)


def retry(
    label: str, attempt: int, most: int, error: str | None, since: datetime, due: datetime
) -> Reason:
    """Say that it is tried again later; `attempt` counts from 0."""
    last_error = f" The last error: {error}" if error else ""
    text = f"Attempt {attempt + 1} of {most} at {label} comes at {stamp(due)}.{last_error}"
    details = {"attempt": attempt, "attempts": most, "error": error, "step": label}
    return Reason("retry", text, since, due, details)


def sleep(label: str, since: datetime, due: datetime) -> Reason:
    """Say that it sleeps."""
    return Reason("sleep", f"Sleeps in {label} until {stamp(due)}.", since, due, {"step": label})


def event(label: str, name: str, expression: str | None, since: datetime, due: datetime) -> Reason:
    """Say which event it waits for."""
    where = f" where {expression}" if expression else ""
    text = f"Waits in {label} for an event {name!r}{where}, until {stamp(due)} at the latest."
    return Reason("event", text, since, due, {"event": name, "if": expression, "step": label})


def signal(label: str, name: str, since: datetime, due: datetime) -> Reason:
    """Say which signal it waits for."""
    text = f"Waits in {label} for the signal {name!r}, until {stamp(due)} at the latest."
    return Reason("signal", text, since, due, {"signal": name, "step": label})


def invoked(
    label: str,
    function: str,
    child: tuple[str, str] | None,
    event_id: str | None,
    since: datetime,
    due: datetime,
) -> Reason:
    """Say which invoked run it waits for; `child` is its id and status."""
    text = f"Waits in {label} for the function {function!r} that it invoked"
    text += f": run {child[0]} is {child[1]}." if child else ", whose run does not exist (yet)."
    details = {
        "function": function,
        "run_id": child[0] if child else None,
        "run_status": child[1] if child else None,
        "event_id": event_id,
        "step": label,
    }
    return Reason("invoke", f"{text} It gives up at {stamp(due)}.", since, due, details)


def calling(
    label: str,
    worker: str,
    since: datetime,
    lease_until: datetime,
    now: datetime,
    *,
    gateway: bool,
    workers: int,
) -> Reason:
    """Say that a call is in flight, or that its worker has gone silent."""
    details = {"worker": worker, "lease_until": lease_until, "step": label}
    if lease_until < now:
        others = "another worker takes it within seconds"
        then = others if workers else "no worker is alive: start one"
        text = f"{worker} had {label} and has gone silent: {then}."
        return Reason("silent", text, since, None, details)
    what = f"makes the HTTP call of {label}" if gateway else f"runs {label}"
    text = (
        f"{worker} {what} since {stamp(since)}. If it stays silent until "
        f"{stamp(lease_until)}, another worker takes over."
    )
    return Reason("gateway" if gateway else "call", text, since, None, details)


def scheduled(since: datetime, due: datetime) -> Reason:
    """Say that the time of its event is still to come."""
    return Reason("scheduled", f"Starts at {stamp(due)}, the time of its event.", since, due)


def delayed(label: str, since: datetime, due: datetime) -> Reason:
    """Say that the next request comes a little later."""
    text = f"The next request for {label} comes at {stamp(due)}."
    return Reason("delayed", text, since, due, {"step": label})


def paused(function: str, since: datetime | None, due: datetime | None = None) -> Reason:
    """Say that its function is paused; `due` is when it would continue without the pause."""
    at = f" since {stamp(since)}" if since else ""
    text = f"The function {function} is paused{at}: the run continues when the function is resumed"
    text += f", not before {stamp(due)}, or what it waits for." if due else "."
    return Reason("paused", text, since, None, {"function": function, "due": due})


def due(
    label: str, workers: int, ahead: int, since: datetime, *, is_let_in: bool = False
) -> Reason:
    """Say that it could run now, and that it waits for a worker."""
    details = {"workers": workers, "ahead": ahead, "step": label}
    if not workers:
        text = f"Due since {stamp(since)}, but no worker is alive: start one."
        return Reason("no_worker", text, since, None, details)
    alive = "1 worker is" if workers == 1 else f"{workers} workers are"
    kept = "A slot is kept for it. " if is_let_in else ""
    text = (
        f"{kept}Due since {stamp(since)} for {label}: {alive} alive, "
        f"{_counted(ahead)} others have been due for longer."
    )
    return Reason("worker", text, since, None, details)


def overdue(reasons: Sequence[Reason], workers: int, now: datetime) -> list[Reason]:
    """Add that no worker is alive, if a reason should be over by now and none says so."""
    is_said = any(one.kind in ("no_worker", "silent") for one in reasons)
    late = any(one.until is not None and one.until <= now for one in reasons)
    if workers or is_said or not late:
        return []
    text = "What ends this is overdue, but no worker is alive: start one."
    return [Reason("no_worker", text, None, None, {"workers": 0})]


def broker_away() -> Reason:
    """Say that no hints reach workers."""
    text = (
        "The broker cannot be reached from this server: workers look for what is due in the "
        "database, where they see it about two seconds after it is due."
    )
    return Reason("broker", text)


def ended(status: str, at: datetime | None, error: str | None, name: str | None) -> Reason:
    """Say what ended a run."""
    when = f" at {stamp(at)}" if at else ""
    cause = f": {error}" if error else "."
    details = {"status": status, "error": error, "name": name}
    return Reason("ended", f"The run {_ENDS.get(status, status)}{when}{cause}", at, None, details)


_ENDS = {"completed": "completed", "failed": "failed", "cancelled": "was cancelled"}


def skipped(reason: str | None, existing: str | None, at: datetime) -> Reason:
    """Say why a run was never executed."""
    words = {
        "FunctionPaused": "its function was paused when the event came",
        "Singleton": f"its singleton's key was held by run {existing}",
    }
    text = f"Skipped: {words.get(reason or '', reason or 'no reason was stored')}."
    return Reason("skipped", text, at, None, {"skip_reason": reason, "run_id": existing})


def nothing(since: datetime) -> Reason:
    """Say that nothing is queued: if the run continues, then in a request of its SDK's own."""
    text = "Nothing is queued for it here: if it continues, then in its SDK's own request."
    return Reason("nothing", text, since)


def debounced(
    function: str, parked: str | None, event_id: str, fires: datetime, since: datetime
) -> Reason:
    """Say that a debounce has parked an event, or has dropped it for a later one."""
    details = {"function": function, "event_id": parked}
    if parked != event_id:
        text = f"The debounce of {function} has dropped it for a later event, {parked}."
        return Reason("debounce_dropped", text, since, None, details)
    text = f"Parked by the debounce of {function}: its run starts at {stamp(fires)}, unless "
    return Reason("debounce", f"{text}another event comes before.", since, fires, details)


def batched(function: str, count: int, most: int, due_at: datetime, since: datetime) -> Reason:
    """Say that an event waits in an event batch."""
    text = (
        f"In a batch of {count} for {function}: its run starts at {most} events, "
        f"or at {stamp(due_at)}."
    )
    details = {"function": function, "count": count, "max_size": most}
    return Reason("batch", text, since, due_at, details)


def kept(function: str, rule: str, since: datetime, *, archived: bool) -> Reason:
    """Say that an event waits in a debounce or batch for a function: archived, or unreadable."""
    kind, why = (
        (
            "function_archived",
            "which no app serves now: its run starts when an app registers the function again",
        )
        if archived
        else (
            "function_unreadable",
            "which this version cannot read: its run is left to workers of the newer version that"
            " wrote the function, or starts when an app registers it again",
        )
    )
    text = f"Kept in the {rule} of {function}, {why}."
    return Reason(kind, text, since, None, {"function": function, "rule": rule})


def started(run_id: str, function: str, status: str, since: datetime) -> Reason:
    """Name a run that an event has started."""
    text = f"Started run {run_id} of {function}, which is {status}."
    return Reason("run", text, since, None, {"run_id": run_id, "function": function})


DROPS = {
    "debounce_dropped": "its debounce has probably dropped it for a later event",
    "idempotency": "its idempotency key has probably come already, within 24 hours",
    "rate_limit": "probably dropped by its rate limit, which stores nothing",
}


def not_started(function: str, dropped: str | None, other: str | None, since: datetime) -> Reason:
    """Say why a function that an event matches has probably no run of it.

    `dropped` is the limit that has probably dropped the event, a key of DROPS; None without any.
    """
    details = {"function": function, "run_id": other}
    if other is not None:
        text = f"{function} has run {other} of an event with the same id: it is started once."
        return Reason("repeated", text, since, None, details)
    if dropped is not None:
        text = f"No run of {function}: {DROPS[dropped]}."
        return Reason(dropped, text, since, None, details)
    text = f"No run of {function}: it may have been registered, or changed, after the event came."
    return Reason("not_started", text, since, None, details)


def unmatched(name: str, since: datetime) -> Reason:
    """Say that an event starts no function."""
    text = f"No function that is registered now is started by {name!r} with this content."
    return Reason("unmatched", text, since)


def let_in_at(opens: datetime, interval: timedelta, ahead: int) -> datetime:
    """Return when a throttle lets in an item with `ahead` others before it."""
    return opens + interval * ahead
