"""`send`: write events into the caller's transaction."""

import json
import uuid
from collections.abc import Awaitable, Sequence

import inngest

from .. import json_values
from ..databases.choose import choose_open
from ..databases.database import Execute
from . import waking
from .table import now_ms

# what the server takes (and Inngest's own)
_MOST_BYTES, _MOST_ID_BYTES, _MOST_KEY_CHARS = 3 * 2**20, 2048, 255
_INSERT = (
    "INSERT INTO inngest_outbox (state, order_key, event, created_at, due_at, attempts)"
    " VALUES ('waiting', :order_key, :event, :now, 0, 0)"
)


def send(
    session: object, events: inngest.Event | Sequence[inngest.Event], *, key: str | None = None
) -> list[str] | Awaitable[list[str]]:
    """Write events into the transaction of a session; return their ids.

    `session` is a Session or Connection of SQLAlchemy, or an async one, for which this must be
    awaited, or the name of a Django database inside `atomic()`. The events are sent after the
    commit; a rollback takes them back. An event without an id gets one, and one without a time the
    time of now.

    Events of one `key` are sent in order: none before the earlier ones were taken by the server.
    None means that the order does not matter.

    Raises TypeError or ValueError, which name the argument, for what cannot be sent.
    """
    if key is not None and not (isinstance(key, str) and 0 < len(key) <= _MOST_KEY_CHARS):
        raise ValueError(f"key: must be text of 1 to {_MOST_KEY_CHARS} characters, not {key!r}")
    if key is not None and "\0" in key:
        raise ValueError("key: must not have NUL in it")
    given = [events] if isinstance(events, inngest.Event) else list(events)
    rows = [_row(event) for event in given]
    opened = choose_open(session, "session")

    def write(execute: Execute) -> list[str]:
        for _, body in rows:
            execute(_INSERT, {"order_key": key, "event": body, "now": now_ms()})
        opened.on_commit(waking.wake)
        return [event_id for event_id, _ in rows]

    return opened.run(write)


def _row(event: inngest.Event) -> tuple[str, str]:
    """Check an event; return its id, and its JSON as it is sent."""
    if not isinstance(event, inngest.Event):
        raise TypeError(
            f"events: must be inngest.Event, or a list of it, not {type(event).__name__}"
        )
    if not event.name:
        raise ValueError("events: an event has no name")
    if event.name.lower().startswith("inngest/"):
        raise ValueError(f"events: names with inngest/ are the server's own: {event.name}")
    event_id = event.id or uuid.uuid4().hex
    if len(event_id.encode()) > _MOST_ID_BYTES:
        raise ValueError(f"events: the id of {event.name} has more than {_MOST_ID_BYTES} bytes")
    json_values.check(event.data, f"event {event.name}", "data")
    body = {"id": event_id, "name": event.name, "data": event.data, "ts": event.ts or now_ms()}
    written = json.dumps(body)
    if len(written) > _MOST_BYTES:
        text = f"has {len(written)} bytes, the server takes {_MOST_BYTES}"
        raise ValueError(f"events: {event.name} {text}: put the data elsewhere, and send its place")
    return event_id, written
