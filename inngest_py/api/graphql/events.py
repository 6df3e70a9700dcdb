"""Events: lists, single events, and the stream of events and cron ticks."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, TypedDict

import orjson
from ariadne import ObjectType
from sqlalchemy import RowMapping

from ...domain.errors import Invalid, NotFound
from ...domain.events import filters
from ...domain.runs.runs import LIVE, RunStatus
from ...domain.values import canonical, ids
from ...domain.values.ids import DEV_ENV_ID
from ...domain.values.json_types import JsonObject
from ...storage.queries import event_list, run_list
from ...storage.queries.event_list import BY_RECEIPT, EventQuery
from ...storage.queries.paging import Fits, Position, Window
from ...storage.queries.run_filters.run_query import RunQuery
from . import paging, runs
from .request import Info, QueryContext, of
from .root import query

connection_type = ObjectType("EventsConnection")
event_v2_type = ObjectType("EventV2")
event_type = ObjectType("Event")
item_type = ObjectType("StreamItem")
EventsFilter = TypedDict(
    "EventsFilter",
    {
        "from": datetime,
        "until": datetime | None,
        "eventNames": list[str] | None,
        "includeInternalEvents": bool,
        "query": str | None,
    },
    total=False,
)


class StreamQuery(TypedDict, total=False):
    """What the stream is asked for."""

    limit: int
    after: str | None
    before: str | None
    includeInternalEvents: bool


class StreamItem(TypedDict):
    """An event, or the tick of a schedule with the run it started."""

    id: str
    trigger: str
    type: str
    createdAt: datetime
    started: list[RowMapping] | None


_LATEST = 50
_MOST_NAMES = 100


def want(request: QueryContext, rows: Iterable[RowMapping]) -> None:
    """Let the loaders read what belongs to these events, in one query for all events."""
    for row in rows:
        request.event_runs.want([row["id"]])
        request.payloads.want([row["id"]])


@query.field("eventsV2")
def list_events(
    _: object, info: Info, first: int, filter: EventsFilter, after: str | None = None
) -> JsonObject:
    """List events, newest first."""
    request = of(info)
    paging.check_first(first)
    position = BY_RECEIPT.position_of(after, "after")
    chosen, wanted = _query_of(filter)
    fits = _fitting(request, wanted)

    def fetch(start: Position | None, limit: int) -> Window:
        values = fits is not None
        return request.read(
            lambda tx: event_list.look(
                tx, chosen, BY_RECEIPT, limit=limit, after=start, values=values
            )
        )

    page = paging.read_page(request, fetch, BY_RECEIPT, first=first, after=position, fits=fits)
    want(request, page.rows)
    request.count_rows(page.rows)
    made = paging.connection(page, lambda row: row, began=position is None)
    return made | {"count": (chosen, fits, fetch)}


def _query_of(filter: EventsFilter) -> tuple[EventQuery, filters.Filter | None]:
    names = filter.get("eventNames")
    if names is not None and len(names) > _MOST_NAMES:
        raise Invalid(f"eventNames holds more than {_MOST_NAMES} names", field="eventNames")
    wanted = runs.filter_of(filter.get("query"), filters.EVENT)
    chosen = EventQuery(
        since=filter["from"],
        until=filter.get("until"),
        names=names or None,
        internal=filter["includeInternalEvents"],
        conditions=wanted.conditions if wanted is not None else (),
    )
    return chosen, wanted


def _fitting(request: QueryContext, wanted: filters.Filter | None) -> Fits | None:
    if wanted is None or wanted.exact:
        return None
    now = request.ctx.now()

    def fits(row: RowMapping) -> bool:
        return wanted.matches({"event": canonical.loads(row["payload"])}, now)

    return fits


@connection_type.field("totalCount")
def count_events(connection: dict[str, Any], info: Info) -> int:
    """Count all events that match, not only those of the page, up to MOST_COUNTED."""
    request = of(info)
    chosen, fits, fetch = connection["count"]
    if fits is None:
        return paging.count_columns(request, lambda tx, most: event_list.count(tx, chosen, most))
    return paging.count(request, fetch, fits)


@query.field("eventV2")
def show_event_v2(_: object, info: Info, id: str) -> RowMapping:
    """Find an event, internal ones too."""
    return _event(of(info), id)


@query.field("event")
def show_event(_: object, info: Info, query: dict[str, str]) -> RowMapping:
    """Find an event, internal ones too."""
    return _event(of(info), query["eventId"], "eventId")


def _event(request: QueryContext, event_id: str, field: str = "id") -> RowMapping:
    found = request.events.get(ids.check_ulid(event_id, "an event id", field))
    if found is None:
        raise NotFound(f"event {event_id} does not exist")
    return found


@query.field("events")
def list_latest(_: object, info: Info, query: dict[str, str]) -> Sequence[RowMapping]:
    """List the newest events that users sent."""
    request = of(info)
    last = query.get("lastEventId")
    query_of = EventQuery(from_id=_following(last, "lastEventId"))
    found = request.read(lambda tx: event_list.page(tx, query_of, first=_LATEST))
    want(request, found.rows)
    return request.count_rows(found.rows)


@query.field("stream")
def list_stream(_: object, info: Info, query: StreamQuery) -> list[StreamItem]:
    """List events and the runs of schedules together, newest first."""
    request = of(info)
    limit = paging.check_first(query["limit"], "limit")
    start = event_list.NEWEST.position_of(query.get("before"), "before")
    from_id = _following(query.get("after"), "after")
    sent = EventQuery(internal=query["includeInternalEvents"], from_id=from_id)
    ticks = RunQuery(scheduled=True, from_id=from_id)
    found = request.read(lambda tx: event_list.page(tx, sent, first=limit, after=start)).rows
    ticked = request.read(lambda tx: run_list.page(tx, ticks, first=limit, after=start)).rows
    request.event_runs.want(row["id"] for row in found)
    items = [*map(_sent, found), *map(_tick, ticked)]
    items.sort(key=lambda item: str(item["id"]), reverse=True)
    return list(request.count_rows(items[:limit]))


def _following(event_id: str | None, field: str) -> str | None:
    """Return the first id after an event's; None without one. Raises Invalid."""
    if not event_id:
        return None
    return ids.following(ids.check_ulid(event_id, "an event id", field))


def _sent(row: RowMapping) -> StreamItem:
    return {
        "id": row["id"],
        "trigger": row["name"],
        "type": "EVENT",
        "createdAt": row["received_at"],
        "started": None,
    }


def _tick(run: RowMapping) -> StreamItem:
    return {
        "id": run["id"],
        "trigger": run["cron"],
        "type": "CRON",
        "createdAt": run["queued_at"],
        "started": [run],
    }


@item_type.field("runs")
def runs_of_item(item: StreamItem, info: Info) -> Sequence[RowMapping]:
    """List the runs that an item of the stream started."""
    request = of(info)
    started = item["started"]
    return request.count_rows(_runs(request, item["id"]) if started is None else started)


@item_type.field("inBatch")
def is_in_batch(item: StreamItem, info: Info) -> bool:
    """Say whether the event is in an event batch."""
    started = item["started"]
    started = _runs(of(info), item["id"]) if started is None else started
    return any(run["batch_id"] is not None for run in started)


def _runs(request: QueryContext, event_id: str) -> list[RowMapping]:
    return request.event_runs.get(event_id) or []


@event_v2_type.field("runs")
@event_type.field("functionRuns")
def runs_of_event(event: RowMapping, info: Info) -> Sequence[RowMapping]:
    """List the runs that an event started."""
    request = of(info)
    found = _runs(request, event["id"])
    runs.want(request, found)
    return request.count_rows(found)


def _payload(event: RowMapping, info: Info) -> str:
    found = of(info).payloads.get(event["id"])
    if found is None:
        raise NotFound(f"event {event['id']} was deleted while its page was read")
    return found


@event_v2_type.field("raw")
@event_type.field("raw")
def raw(event: RowMapping, info: Info) -> str:
    """Write the event: without a version `v` is null; an empty `user` or `meta` is left out."""
    found: JsonObject = orjson.loads(_payload(event, info))
    shown = {name: found.get(name) for name in ("data", "id", "name", "ts")}
    shown |= {name: found[name] for name in ("user", "meta") if found.get(name)}
    text = canonical.dumps(shown | {"v": found.get("v")}).decode()
    return of(info).count_text(text)


@event_type.field("payload")
def data(event: RowMapping, info: Info) -> str:
    """Write the event's data."""
    found = canonical.loads(_payload(event, info))["data"]
    return of(info).count_text(canonical.dumps(found).decode())


@event_v2_type.field("version")
def version(event: RowMapping, info: Info) -> str | None:
    """Return the event's version, which senders may give."""
    found: str | None = canonical.loads(_payload(event, info)).get("v") or None
    return found


@event_v2_type.field("source")
def source(event: RowMapping, _: Info) -> JsonObject:
    """Return who sent the event: the server itself or a program."""
    kind = "INTERNAL" if event["internal"] else "SDK"
    return {"id": None, "name": None, "sourceKind": kind}


@event_v2_type.field("envID")
def env_id(*_: object) -> str:
    """Return the one environment of this server."""
    return DEV_ENV_ID


@event_type.field("status")
def status(event: RowMapping, info: Info) -> str:
    """Return one status for all of the event's runs."""
    statuses = [RunStatus(run["status"]) for run in _runs(of(info), event["id"])]
    if not statuses:
        return "NO_FUNCTIONS"
    if any(one in LIVE for one in statuses):
        return "RUNNING"
    failed = statuses.count(RunStatus.FAILED)
    if failed == len(statuses):
        return "FAILED"
    return "PARTIALLY_FAILED" if failed else "COMPLETED"


@event_type.field("totalRuns")
def total_runs(event: RowMapping, info: Info) -> int:
    """Count the event's runs."""
    return len(_runs(of(info), event["id"]))


@event_type.field("pendingRuns")
def pending_runs(event: RowMapping, info: Info) -> int:
    """Count those of the event's runs that have not ended."""
    return sum(RunStatus(run["status"]) in LIVE for run in _runs(of(info), event["id"]))


event_v2_type.set_alias("receivedAt", "received_at")
event_v2_type.set_alias("occurredAt", "ts")
event_v2_type.set_alias("idempotencyKey", "external_id")
event_type.set_alias("createdAt", "received_at")
event_type.set_alias("externalID", "external_id")

TYPES = (connection_type, event_v2_type, event_type, item_type)
