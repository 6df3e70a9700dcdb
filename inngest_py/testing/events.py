"""Events, as a test gives and sees them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import RowMapping

from ..domain.errors import Invalid
from ..domain.events import user_events
from ..domain.values import canonical
from ..domain.values.json_types import JsonObject
from ..engine.runtime.context import Context
from . import arguments
from .errors import InngestTestError
from .steps import Json

_FIELDS = ("id", "name", "data", "user", "ts", "v", "meta")


@dataclass(frozen=True, slots=True)
class Event:
    """An event that the server has: one that was sent, or one of its own (`is_own`)."""

    id: str
    name: str
    data: Mapping[str, Json]
    received_at: datetime
    is_own: bool


class Events(list[Event]):
    """Events, in the order in which they came."""

    def named(self, name: str) -> list[Event]:
        """List those of a name."""
        arguments.text("events.named", "name", name)
        return [event for event in self if event.name == name]


def events_of(rows: Sequence[RowMapping]) -> Events:
    """Make events of their rows."""
    return Events(
        Event(
            id=row["external_id"],
            name=row["name"],
            data=canonical.loads(row["payload"])["data"],
            received_at=row["received_at"],
            is_own=bool(row["internal"]),
        )
        for row in rows
    )


def fields_of(given: object, data: Mapping[str, object] | None, what: str) -> JsonObject:
    """Read an event as a test gives it: a name, a dict, or an Event of the SDK.

    `data` goes beside a name. Raises InngestTestError.
    """
    if data is not None and not isinstance(data, Mapping):
        raise InngestTestError(f"{what}: data must be a dict, not {type(data).__name__}")
    if isinstance(given, str):
        return {"name": given, "data": dict(data or {})}
    if data is not None:
        raise InngestTestError(
            f"{what}: give `data` beside the name of an event, or the whole event"
        )
    if isinstance(given, Mapping):
        return dict(given)
    found = {name: getattr(given, name) for name in _FIELDS if hasattr(given, name)}
    if "name" not in found:
        raise InngestTestError(
            f"{what}: an event is a name, a dict or an inngest.Event, not {type(given).__name__}"
        )
    # the SDK's own marks of what was not given
    return {name: value for name, value in found.items() if value not in ("", 0, None)}


def made(ctx: Context, fields: JsonObject, what: str) -> user_events.Event:
    """Check an event, and make it as the server does. Raises InngestTestError."""
    now = ctx.now()
    try:
        size = len(json.dumps(fields, allow_nan=False))
        ms = int(now.timestamp() * 1000)
        return user_events.parse_event(fields, size, ms, ctx.new_id(now))
    except (Invalid, TypeError, ValueError, RecursionError) as error:
        raise InngestTestError(f"{what}: {error}") from None
