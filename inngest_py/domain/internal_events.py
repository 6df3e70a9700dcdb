"""Events that the server publishes about runs (events.md §8)."""

from collections.abc import Sequence
from typing import Any

from . import canonical, ids
from .checks import MOST_EVENT_LEVELS, MOST_OUTPUT_LEVELS, is_deeper
from .errors import Invalid
from .event_record import CANCELLED, FAILED, FINISHED, INVOKED, Event, internal, make
from .outputs import error_object

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
    """Build what a run's end publishes: its finished event, then that of a failure or cancellation.

    `event` is the payload that started the run, `events` those of its batch, `output` the
    canonical result or error, `status` one of completed, failed and cancelled. `finished_id` is
    the first event's id, the ULIDs after it are the others'; each further invocation of a batch
    gets a finished event of its own (events.md §8.1, §8.2).
    """
    first = canonical.loads(event)
    batch = [canonical.loads(text) for text in events] or [first]
    data: dict[str, Any] = {
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
        # the run's id as the external one: a handler runs once for each run
        also = internal(
            _ALSO[status], answers[0], id=own, external_id=run_id, ts_ms=now_ms, meta=meta
        )
        built.append(also)
    return built


def _outcome(status: str, output: str | None, error_text: str | None) -> dict[str, Any]:
    """Give a finished run's result or error; a cancelled run has neither (events.md §8.1)."""
    if status == "cancelled":
        return {}
    # an event that nobody can read again would keep the run from ending
    if output is not None and is_deeper(output, MOST_OUTPUT_LEVELS):
        output = None
    value = None if output is None else canonical.loads(output)
    result = {} if output is None else {"result": value}
    if status == "failed":
        return {"error": error_object(value, error_text), **result}
    return result


def _answer(data: dict[str, Any], correlation_id: str | None) -> dict[str, Any]:
    return data if correlation_id is None else data | {"correlation_id": correlation_id}


def _without_empty_user(event: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in event.items() if key != "user" or value}


def _correlation_id(event: dict[str, Any]) -> str | None:
    if event.get("name") != INVOKED:
        return None
    found = event["data"].get("_inngest", {}).get("correlation_id")
    return found if isinstance(found, str) else None


def _sessions(event: dict[str, Any]) -> dict[str, Any] | None:
    sessions = (event.get("meta") or {}).get("sessions")
    return {"sessions": sessions} if sessions else None


def invoked(
    data: dict[str, Any],
    routing: dict[str, Any],
    *,
    id: str,
    ts_ms: int,
    external_id: str | None = None,
    user: dict[str, Any] | None = None,
    v: str = "",
    meta: dict[str, Any] | None = None,
) -> Event:
    """Build the event that starts an invoked function (events.md §8.4).

    `routing` becomes `data._inngest`: `fn_id`, and for a step that waits for the answer
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
    )
    if is_deeper(event.payload, MOST_EVENT_LEVELS):
        raise Invalid(f"the invocation's data is nested deeper than {MOST_EVENT_LEVELS} levels")
    return event
