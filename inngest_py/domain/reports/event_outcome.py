"""Why an event did or did not start a function, as far as stored rows show it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from .. import cel
from ..errors import Invalid
from ..functions.function_config import EventTrigger, FunctionConfig
from ..runs.runs import RunStatus
from ..values import names


@dataclass(frozen=True, slots=True)
class Candidate:
    """A function, as it is now, that an event may start."""

    id: str
    slug: str
    config: FunctionConfig
    changed_at: datetime
    archived: bool = False


@dataclass(frozen=True, slots=True)
class EventOutcome:
    """What came of an event for one function.

    `started` says whether a run began, `run_id` is the event's run, if any. `reason` is the run's
    status, or why there is none.
    """

    function_id: str
    slug: str
    started: bool
    reason: str
    run_id: str | None = None


def outcomes(
    event: Mapping[str, object],
    received_at: datetime,
    candidates: Sequence[Candidate],
    runs: Mapping[str, tuple[str, str, str | None]],
    now: datetime,
) -> list[EventOutcome]:
    """Say what came of an event for every function that its name may start.

    `runs` has by function id the run's id, its status and why it was skipped.
    """
    patterns = set(names.patterns(str(event.get("name", ""))))
    found = []
    for one in candidates:
        triggers = [
            trigger
            for trigger in one.config.triggers
            if isinstance(trigger, EventTrigger) and trigger.event in patterns
        ]
        if one.id in runs:
            found.append(_started(one, *runs[one.id]))
        elif triggers and not one.archived:
            reason = _reason(one, triggers, event, received_at, now)
            found.append(EventOutcome(one.id, one.slug, False, reason))
    return sorted(found, key=lambda verdict: (not verdict.started, verdict.slug))


def _started(one: Candidate, run_id: str, status: str, skip_reason: str | None) -> EventOutcome:
    if status != RunStatus.SKIPPED.value:
        return EventOutcome(one.id, one.slug, True, status, run_id)
    reason = {
        "FunctionPaused": "skipped: the function was paused",
        "FunctionDrained": "skipped: the function was being drained",
        "SingletonSkip": "skipped: another run was under way (singleton)",
        "Singleton": "skipped: another run was under way (singleton)",
        "FunctionBacklogSizeLimitHit": "skipped: too many runs were waiting",
    }.get(skip_reason or "", f"skipped: {skip_reason or 'no reason is stored'}")
    return EventOutcome(one.id, one.slug, False, reason, run_id)


def _reason(
    one: Candidate,
    triggers: Sequence[EventTrigger],
    event: Mapping[str, object],
    received_at: datetime,
    now: datetime,
) -> str:
    """Say why there is no run. Limits store nothing of what they hold back, so all are named."""
    if one.changed_at > received_at:
        before = "the function was synced after the event came; with its present triggers: "
    else:
        before = ""
    false = []
    for trigger in triggers:
        if not trigger.expression:
            break
        try:
            if cel.matches(trigger.expression, {"event": event}, now):
                break
        except Invalid:
            pass
        false.append(trigger.expression)
    else:
        return before + "the expression is false: " + " · ".join(false)
    return before + _held_back(one.config)


def _held_back(config: FunctionConfig) -> str:
    limits = []
    if config.rate_limit is not None:
        limits.append("dropped by its rate limit")
    if config.debounce is not None:
        limits.append("debounced: a later event took its place, or its time is not over")
    if config.batch is not None:
        limits.append("batched: it is part of a run of several events, or its batch is open")
    if config.singleton is not None:
        limits.append("another run was under way (singleton)")
    if not limits:
        return "no run: an event with the same id came within 24 hours, or the run was deleted"
    return "no run of its own: " + "; or ".join(limits)
