"""Events that the server publishes about runs (events.md §8)."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ..errors import Invalid
from ..runs.outputs import DEFAULT_NAME, error_object
from ..values import canonical, ids
from ..values.checks import MOST_LEVELS, cut, is_deeper
from ..values.json_types import JsonObject
from .event_record import CANCELLED, FAILED, FINISHED, INVOKED, SCHEDULED, Event, internal, make

_ALSO = {"failed": FAILED, "cancelled": CANCELLED}


def ended(
    *,
    run_id: str,
    function_slug: str,
    status: str,
    event: str,
    output: str | None,
    correlation_id: str | None,
    finished_id: str,
    now_ms: int,
    events: Sequence[str] = (),
    error_text: str | None = None,
) -> list[Event]:
    """Build the events of a run's end: finished, and after it failed or cancelled, if it was that.

    `event` is the payload that started the run, `events` those of its event batch, `output` the
    canonical result or error, `status` one of completed, failed and cancelled. `finished_id` is
    the first event's id, and the others get the ULIDs after it. Each further invocation in an event
    batch gets a finished event of its own (events.md §8.1, §8.2).
    """
    first = canonical.loads(event)
    batch = [canonical.loads(text) for text in events] or [first]
    data: JsonObject = {
        "_inngest": {"status": status.capitalize()},
        "event": {**first, "user": first.get("user") or {}},
        "events": [_without_empty_user(item) for item in batch],
        "function_id": function_slug,
        "run_id": run_id,
        **_outcome(status, output, error_text),
    }
    meta = _sessions(first)
    answers = [_answer(data, correlation_id)]
    answers += [_answer(data, other) for other in map(_correlation_id, batch[1:]) if other]
    built = [
        internal(FINISHED, answer, id=ids.following(finished_id, place), ts_ms=now_ms, meta=meta)
        for place, answer in enumerate(answers)
    ]
    if status in _ALSO:
        own = ids.following(finished_id, len(answers))
        # the external id is the run's, so that a handler runs once per run
        also = internal(
            _ALSO[status], answers[0], id=own, external_id=run_id, ts_ms=now_ms, meta=meta
        )
        built.append(also)
    return built


def _outcome(status: str, output: str | None, error_text: str | None) -> JsonObject:
    """Return an ended run's result or error; a cancelled run has neither (events.md §8.1)."""
    if status == "cancelled":
        return {}
    # an event that is nested too deep could not be read again, and the run could not end
    if output is not None and is_deeper(output, MOST_LEVELS):
        output = cut(output, MOST_LEVELS)
    value = None if output is None else canonical.loads(output)
    result = {} if output is None else {"result": value}
    if status == "failed":
        return {"error": error_object(value, error_text), **result}
    return result


def _answer(data: JsonObject, correlation_id: str | None) -> JsonObject:
    return data if correlation_id is None else data | {"correlation_id": correlation_id}


def _without_empty_user(event: JsonObject) -> JsonObject:
    return {key: value for key, value in event.items() if key != "user" or value}


def _correlation_id(event: dict[str, Any]) -> str | None:
    if event.get("name") != INVOKED:
        return None
    found = event["data"].get("_inngest", {}).get("correlation_id")
    return found if isinstance(found, str) else None


def _sessions(event: dict[str, Any]) -> JsonObject | None:
    sessions = (event.get("meta") or {}).get("sessions")
    return {"sessions": sessions} if sessions else None


def scheduled(
    cron: str,
    tick: datetime,
    fire_at: datetime,
    *,
    id: str,
    function_id: str,
    apart: bool = False,
) -> Event:
    """Build the event of a cron's tick, which starts only that function (events.md §8.5).

    Schedules of a function that tick together start one run. With `apart` each starts its own.
    """
    at = _rfc3339(tick)
    event = internal(
        SCHEDULED,
        {"cron": cron, "scheduledAt": at, "fireAt": _rfc3339(fire_at)},
        id=id,
        external_id=f"{at} {cron}" if apart else at,
        ts_ms=int(fire_at.timestamp() * 1000),
    )
    return replace(event, target=function_id, cron=cron)


def _rfc3339(moment: datetime) -> str:
    """Write a time in UTC, with milliseconds when they are not zero."""
    utc = moment.astimezone(UTC)
    text = utc.isoformat(timespec="milliseconds" if utc.microsecond else "seconds")
    return text.replace("+00:00", "Z")


def invoked(
    data: JsonObject,
    routing: JsonObject,
    *,
    id: str,
    ts_ms: int,
    external_id: str | None = None,
    user: JsonObject | None = None,
    v: str = "",
    meta: JsonObject | None = None,
) -> Event:
    """Build the event that starts an invoked function (events.md §8.4).

    `routing` becomes `data._inngest`: `fn_id`, and for a step that waits for the result also
    `correlation_id`, `expire` (Unix milliseconds), `source_app_id`, `source_fn_id`, `name` ...
    Raises Invalid for data that is nested too deep.
    """
    event = make(
        INVOKED,
        data | {"_inngest": routing},
        id=id,
        ts_ms=ts_ms,
        external_id=external_id,
        user=user,
        v=v,
        meta=meta,
        internal=True,
        fresh=True,
    )
    if is_deeper(event.payload, MOST_LEVELS):
        raise Invalid(f"the invocation's data is nested deeper than {MOST_LEVELS} levels")
    return event


def unknown_function(target: str) -> str:
    """Word the error of an invocation whose target does not exist (waits.md §4)."""
    return f"could not find function with ID: {target}"


def refused_invocation(event: Event, message: str, *, id: str, now_ms: int) -> Event:
    """Build the finished event for an invocation that starts no run (waits.md §4)."""
    payload = canonical.loads(event.payload)
    data = {
        "_inngest": {"status": "Failed"},
        "error": {"message": message, "name": DEFAULT_NAME},
        "event": payload,
        "events": [_without_empty_user(payload)],
        "function_id": event.target,
        "run_id": "",
    }
    return internal(FINISHED, _answer(data, event.correlation_id), id=id, ts_ms=now_ms)
