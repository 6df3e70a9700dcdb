"""Matching: end the waits that events end, in the transaction that stores the events.

An event ends a wait by deleting its row. It writes the answer into the wait's queue item
and makes the item due; the worker that claims the item continues the run. Only rows of waits and
items are locked, never other runs. An event that might end very many waits ends none here: an
item of kind `event` ends them page by page.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection

from ...domain import cel
from ...domain.events.lookups import key_in
from ...domain.events.user_events import Event
from ...domain.runs.items import HINT_GRACE, ItemKind
from ...domain.steps.waits import LATE_AFTER
from ...domain.values import canonical
from ...domain.values.json_types import JsonObject
from ...storage.events import waits
from ...storage.queue import queue_items
from ..runtime.context import Context, Hint
from .cancel_subscriptions import queue_cancellations


class EventToMatch:
    """An event to be matched: parsed once, and only if something waits for its name."""

    __slots__ = ("event", "id", "name", "received_at")

    def __init__(self, event_id: str, name: str, payload: str, received_at: datetime) -> None:
        self.id, self.name, self.received_at = event_id, name, received_at
        self.event: JsonObject = canonical.loads(payload)

    def lookups(self, paths: Iterable[str]) -> list[tuple[str, str, str]]:
        """List the places in the index of waits that this event may end."""
        keys = ((path, key_in(self.event, path)) for path in paths)
        return [(self.name, path, key) for path, key in keys if key is not None]

    def ends(self, wait: waits.OpenWait, now: datetime) -> bool:
        """Say whether the event ends a wait found by its lookups (waits.md §3)."""
        if wait.expires_at <= now or wait.created_by == self.id:
            return False
        if wait.created_at > self.received_at + LATE_AFTER:
            return False
        if wait.expression is None:
            return True
        return cel.matches(wait.expression, {"async": self.event}, now)


def match(
    tx: Connection,
    ctx: Context,
    stored: Sequence[Event],
    open_paths: Iterable[tuple[str, str]],
    now: datetime,
) -> list[Hint]:
    """End the waits that newly stored events end; return the hints to send.

    `open_paths` are the waits.paths() of the events' names.
    """
    paths: dict[str, list[str]] = {}
    for name, path in open_paths:
        paths.setdefault(name, []).append(path)
    if not stored or not paths:
        return []
    waited_for = [
        EventToMatch(event.id, event.name, event.payload, now)
        for event in stored
        if event.name in paths
    ]
    found = {matched.id: matched.lookups(paths[matched.name]) for matched in waited_for}
    hints = queue_cancellations(tx, ctx, found, now)
    candidates = waits.candidates(tx, [one for lookups in found.values() for one in lookups])
    if candidates is None:
        return hints + _defer(tx, ctx, [one for one in waited_for if found[one.id]], now)
    behind: dict[tuple[str, str, str], list[waits.OpenWait]] = {}
    for wait in candidates:
        place = (wait.event_name, wait.lookup_path, wait.lookup_key)
        behind.setdefault(place, []).append(wait)
    ended: dict[str, str] = {}
    many = []
    for matched in waited_for:
        pending = [wait for lookup in found[matched.id] for wait in behind.get(lookup, ())]
        if len(pending) > waits.MOST_AT_ONCE:
            many.append(matched)
            continue
        for wait in pending:
            if wait.id not in ended and matched.ends(wait, now):
                ended[wait.id] = matched.id
    return hints + close_waits(tx, ended, now) + _defer(tx, ctx, many, now)


def close_waits(tx: Connection, ended: dict[str, str], now: datetime) -> list[Hint]:
    """Close the waits that are still open and answer their items; `ended` has events by wait."""
    items = waits.consume(tx, ended)
    answers = [
        (item_id, canonical.dumps({"event": ended[wait_id]}).decode())
        for wait_id, item_id in items.items()
        if item_id is not None
    ]
    answered = queue_items.end_waits(tx, sorted(answers), now, now + HINT_GRACE)
    return [(ItemKind.WAIT, item_id) for item_id in answered]


def _defer(
    tx: Connection, ctx: Context, waited_for: Sequence[EventToMatch], now: datetime
) -> list[Hint]:
    """Queue the matching of events that might end more waits than one transaction should."""
    rows = [
        queue_items.new_row(
            ctx.new_id(now),
            ItemKind.EVENT,
            matched.id,
            f"{matched.id}-match",
            due_at=now,
            now=now,
        )
        for matched in waited_for
    ]
    queue_items.put(tx, rows)
    return [(ItemKind.EVENT, str(row["id"])) for row in rows]
