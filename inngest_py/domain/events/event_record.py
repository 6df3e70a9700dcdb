"""The event as it is stored. All events are built here.

Invariant: an event's payload is JSON with exactly the fields of events.md §9, and its user is an
object. It is canonical, unless that would round integers (canonical.dumps_event).
"""

from dataclasses import dataclass

from ..values import canonical
from ..values.json_types import JsonObject

FINISHED = "inngest/function.finished"
FAILED = "inngest/function.failed"
CANCELLED = "inngest/function.cancelled"
INVOKED = "inngest/function.invoked"
DEFERRED = "inngest/deferred.schedule"
SCHEDULED = "inngest/scheduled.timer"


@dataclass(frozen=True, slots=True)
class Event:
    """An accepted event.

    `id` is the internal ULID, `external_id` the id that SDKs see. `payload` is the JSON that
    SDKs get, by canonical.for_sdks(): data, id, name, ts, user, and v and meta where there are any.
    `target` is the slug or UUID of the one function that an invocation or a cron tick is for;
    `cron` is the tick's schedule. `traceparent` is the W3C context of the sender's request.
    `fresh` means that the id was made just now, so no stored event can have it.
    """

    id: str
    external_id: str
    name: str
    payload: str
    ts_ms: int
    v: str = ""
    internal: bool = False
    correlation_id: str | None = None
    target: str | None = None
    cron: str | None = None
    traceparent: str | None = None
    fresh: bool = False


def make(
    name: str,
    data: JsonObject,
    *,
    id: str,
    ts_ms: int,
    external_id: str | None = None,
    user: JsonObject | None = None,
    v: str = "",
    meta: JsonObject | None = None,
    internal: bool = False,
    fresh: bool = False,
) -> Event:
    """Build an event from parts that are checked already; `ts_ms` is in Unix milliseconds.

    The target and the correlation id of an invocation are read from `data._inngest` (events.md
    §8.4). Raises Invalid only when a part has no canonical form.
    """
    whole: JsonObject = {
        "data": data,
        "id": external_id or id,
        "name": name,
        "ts": ts_ms,
        "user": user or {},
    }
    if v:
        whole["v"] = v
    if meta:
        whole["meta"] = meta
    correlation_id, target = _routing(name, data, internal)
    return Event(
        id=id,
        external_id=external_id or id,
        name=name,
        payload=canonical.dumps_event(whole).decode(),
        ts_ms=ts_ms,
        v=v,
        internal=internal,
        correlation_id=correlation_id,
        target=target,
        fresh=fresh,
    )


def _routing(name: str, data: JsonObject, internal: bool) -> tuple[str | None, str | None]:
    """Read an invocation's correlation id and the function that it is for."""
    routing = data.get("_inngest") if internal and name == INVOKED else None
    routing = routing if isinstance(routing, dict) else {}
    return routing.get("correlation_id"), routing.get("fn_id")


def from_columns(
    *, id: str, external_id: str, name: str, payload: str, ts_ms: int, internal: bool
) -> Event:
    """Build an event from its stored columns."""
    invocation = internal and name == INVOKED
    data = canonical.loads(payload)["data"] if invocation else {}
    correlation_id, target = _routing(name, data, internal)
    return Event(
        id=id,
        external_id=external_id,
        name=name,
        payload=payload,
        ts_ms=ts_ms,
        internal=internal,
        correlation_id=correlation_id,
        target=target,
    )


def internal(
    name: str,
    data: JsonObject,
    *,
    id: str,
    ts_ms: int,
    external_id: str | None = None,
    meta: JsonObject | None = None,
) -> Event:
    """Build an event that the server publishes (events.md §8), whose id is new; see make()."""
    return make(
        name,
        data,
        id=id,
        ts_ms=ts_ms,
        external_id=external_id,
        meta=meta,
        internal=True,
        fresh=True,
    )
