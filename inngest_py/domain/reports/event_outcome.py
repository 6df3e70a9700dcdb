"""Why an event did or did not start a function, as far as stored rows show it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

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


class StartedRun(NamedTuple):
    """A run of an event, with its phase, or its status if it has ended.

    `repeats` is the run that it is a rerun of; None for none.
    """

    id: str
    status: str
    skip_reason: str | None = None
    repeats: str | None = None


@dataclass(frozen=True, slots=True)
class EventOutcome:
    """What came of an event for one function; a function with reruns has one for each run.

    `started` says whether a run began, `run_id` is the event's run, if any. `reason` is the run's
    status, or why there is none. `repeats` is the run that this one is a rerun of.
    """

    function_id: str
    slug: str
    started: bool
    reason: str
    run_id: str | None = None
    repeats: str | None = None


def outcomes(
    event: Mapping[str, object],
    received_at: datetime,
    candidates: Sequence[Candidate],
    runs: Mapping[str, Sequence[StartedRun]],
    now: datetime,
    *,
    alone: bool = False,
) -> list[EventOutcome]:
    """Say what came of an event for every function that its name may start.

    `runs` has the event's runs by function id, oldest first. An event that is for these runs
    `alone` has started nothing else, so of other functions nothing is said.
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
            found += [_started(one, run) for run in runs[one.id]]
        elif triggers and not one.archived and not alone:
            reason = _reason(one, triggers, event, received_at, now)
            found.append(EventOutcome(one.id, one.slug, False, reason))
    # stable, so that a function's runs stay in their order
    return sorted(found, key=lambda verdict: (not verdict.started, verdict.slug))


def _started(one: Candidate, run: StartedRun) -> EventOutcome:
    if run.status != RunStatus.SKIPPED.value:
        return EventOutcome(one.id, one.slug, True, run.status, run.id, run.repeats)
    reason = {
        "FunctionPaused": "skipped: the function was paused",
        "FunctionDrained": "skipped: the function was being drained",
        "SingletonSkip": "skipped: another run was under way (singleton)",
        "Singleton": "skipped: another run was under way (singleton)",
        "FunctionBacklogSizeLimitHit": "skipped: too many runs were waiting",
    }.get(run.skip_reason or "", f"skipped: {run.skip_reason or 'no reason is stored'}")
    return EventOutcome(one.id, one.slug, False, reason, run.id)


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
