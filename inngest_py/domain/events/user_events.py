"""Check the events that users send, and build them as they are stored and delivered.

Invariant: an event that passes here can be stored, sent to SDKs and put into the server's events.
"""

import math
from dataclasses import replace

from ..errors import Invalid, TooDeep
from ..limits import MAX_EVENT_BYTES
from ..values import canonical
from ..values.checks import MOST_LEVELS, check_text, is_deeper, kind
from ..values.json_types import JsonObject
from .event_record import INVOKED, Event, internal, make
from .internal_events import ended, invoked, refused_invocation, scheduled, unknown_function

__all__ = [
    "Event",
    "ended",
    "internal",
    "invoked",
    "make",
    "parse_event",
    "parse_invocation",
    "refused_invocation",
    "scheduled",
    "unknown_function",
]

RESERVED = "inngest/"
NOT_EVENTS = "Request body must contain an event object or an array of event objects"
# Names and ids are index keys; PostgreSQL refuses index rows over 2704 bytes.
MAX_NAME_BYTES = 2048
MAX_ID_BYTES = 2048
MIN_TS_MS = 315_532_800_000  # 1980-01-01
MAX_TS_MS = 4_102_444_800_000  # 2100-01-01
MAX_SESSIONS = 5
# the sessions that a sender gives, and those that an SDK passes on from the run that sends
_OWN, _INHERITED = "sessions", "propagated_sessions"
MAX_SESSION_KEY_BYTES = 128
MAX_SESSION_ID_BYTES = 512


def parse_event(payload: object, size: int, received_ms: int, internal_id: str) -> Event:
    """Check one event that a user sent (events.md §3.1).

    `size` is that of its JSON in bytes, `received_ms` is in Unix milliseconds. Raises Invalid with
    the messages of events.md §3.2.
    """
    given = _fields(payload, size)
    name = _text(given, "name", MAX_NAME_BYTES)
    if not name:
        raise Invalid("event name is empty", field="name")
    if name.lower().startswith(RESERVED):
        raise Invalid(f"event name is reserved for internal use: {name}", field="name")
    return _build(name, given, received_ms, internal_id)


def parse_invocation(
    payload: object, size: int, received_ms: int, internal_id: str, target: str
) -> Event:
    """Check the body of `POST /invoke/{slug}` and make its event (events.md §4).

    The body is that of an event, and needs no name. Raises Invalid as parse_event does.
    """
    given = _fields(payload, size)
    if not target or len(target.encode("utf-8", "replace")) > MAX_NAME_BYTES or "\0" in target:
        raise Invalid("the function's slug is missing or not valid", field="slug")
    return _build(INVOKED, given, received_ms, internal_id, {"fn_id": target})


def repeated(payload: str, data: JsonObject, now_ms: int, internal_id: str, *, own: bool) -> Event:
    """Make the event of a rerun: a stored one with a new id, a new time and other data.

    `own` says that the server published the stored one. Raises Invalid, which names the field.
    """
    given = canonical.loads(payload)
    routing = given["data"].get("_inngest") if own else None
    changed = given | {"data": data, "ts": now_ms}
    del changed["id"]
    size = len(canonical.dumps_event(changed))
    made = _build(given["name"], _fields(changed, size), now_ms, internal_id, routing)
    return replace(made, internal=own, correlation_id=None, target=None, fresh=True)


def _fields(payload: object, size: int) -> JsonObject:
    if not isinstance(payload, dict):
        raise Invalid(NOT_EVENTS)
    if size > MAX_EVENT_BYTES:
        raise Invalid(
            f"Event is over the max size: Max {MAX_EVENT_BYTES} bytes / Size {size} bytes"
        )
    return payload


def _build(
    name: str,
    given: JsonObject,
    received_ms: int,
    internal_id: str,
    routing: JsonObject | None = None,
) -> Event:
    data = {key: value for key, value in _object(given, "data").items() if key != "_inngest"}
    if routing is not None:
        data["_inngest"] = routing
    event = make(
        name,
        data,
        id=internal_id,
        ts_ms=_ts(given, received_ms),
        external_id=_text(given, "id", MAX_ID_BYTES) or None,
        user=_object(given, "user"),
        v=_text(given, "v", MAX_NAME_BYTES),
        meta=_meta(given),
        internal=routing is not None,
    )
    if is_deeper(event.payload, MOST_LEVELS):
        raise TooDeep(f"event is nested deeper than {MOST_LEVELS} levels")
    return event


def _wrong(key: str, wanted: str, value: object) -> Invalid:
    return Invalid(f"event {key} must be {wanted}, not {kind(value)}", field=key)


def _text(given: JsonObject, key: str, limit: int) -> str:
    value = given.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _wrong(key, "a string", value)
    return check_text(value, f"event {key}", limit, key)


def _object(given: JsonObject, key: str) -> JsonObject:
    value = given.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _wrong(key, "an object", value)
    return value


def _ts(given: JsonObject, received_ms: int) -> int:
    value = given.get("ts")
    if value is None or (value == 0 and not isinstance(value, bool)):
        return received_ms
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong("ts", "an integer (Unix milliseconds)", value)
    if value < MIN_TS_MS:
        raise Invalid("timestamp is before the year 1980", field="ts")
    if value > MAX_TS_MS:
        raise Invalid("timestamp is after the year 2100", field="ts")
    if math.isnan(value) or int(value) != value:
        raise _wrong("ts", "an integer (Unix milliseconds)", value)
    return int(value)


def _meta(given: JsonObject) -> JsonObject:
    meta = _object(given, "meta")
    own, inherited = (_sessions(meta, name) for name in (_OWN, _INHERITED))
    rest = {key: value for key, value in meta.items() if key not in (_OWN, _INHERITED)}
    # the sender's own sessions win over inherited ones, and null removes an inherited one
    kept = {key: value for key, value in own.items() if value is not None}
    if len(kept) > MAX_SESSIONS:
        raise Invalid(
            f"event meta.sessions holds {len(kept)} sessions: Max {MAX_SESSIONS}",
            field="meta.sessions",
        )
    for key, value in sorted(inherited.items()):
        # the sender does not choose inherited sessions, so too many are dropped, not refused
        if value is not None and key not in own and len(kept) < MAX_SESSIONS:
            kept[key] = value
    return rest | ({"sessions": kept} if kept else {})


def _sessions(meta: JsonObject, name: str) -> dict[str, str | None]:
    sessions = meta.get(name)
    if sessions is None:
        return {}
    if not isinstance(sessions, dict):
        raise _wrong(f"meta.{name}", "an object", sessions)
    return {key: _session(key, value, f"meta.{name}") for key, value in sessions.items()}


def _session(key: str, value: object, field: str) -> str | None:
    if value is None:
        return None
    check_text(key, f"event {field} key", MAX_SESSION_KEY_BYTES, field)
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = canonical.dumps(value).decode()
    if not isinstance(value, str):
        raise _wrong(f"{field} id", "a string or a number", value)
    return check_text(value, f"event {field} id", MAX_SESSION_ID_BYTES, field)
