"""Subscriptions: events of a function's `cancelOn` that would cancel a run (waits.md §7.1)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from .. import cel
from ..errors import Invalid
from ..events.lookups import lookup
from ..functions.triggers import Cancel
from .plans import TimelineEntry
from .timeouts import cancellation_entry

LISTENS = timedelta(days=365)  # how long a subscription lasts when `cancelOn` has no time-out


@dataclass(frozen=True, slots=True)
class Subscription:
    """An event that would cancel one run.

    `expression` is the condition, with the run's own event filled in; None when every event of
    the name cancels. `path` and `key` are the part of it that an index holds, "" without one.
    """

    event: str
    expires_at: datetime
    expression: str | None = None
    path: str = ""
    key: str = ""


def subscription(cancel: Cancel, event: Mapping[str, object], now: datetime) -> Subscription | None:
    """Make a new run's subscription; None when no event could ever cancel it."""
    expires_at = _expiry(cancel, now)
    if expires_at <= now:
        return None
    if cancel.expression is None:
        return Subscription(cancel.event, expires_at)
    try:
        residual = cel.interpolate(cancel.expression, event, now)
    except Invalid:  # the run's event cannot be filled into the condition: nothing can match
        return None
    if residual == "false":
        return None
    if residual == "true":
        return Subscription(cancel.event, expires_at)
    return Subscription(cancel.event, expires_at, residual, *lookup(residual))


def _expiry(cancel: Cancel, now: datetime) -> datetime:
    if cancel.until is not None:
        return cancel.until
    try:
        return now + (LISTENS if cancel.timeout is None else cancel.timeout)
    except OverflowError:
        return now + LISTENS


def cancels(
    expression: str | None, expires_at: datetime, event: Mapping[str, object], received_at: datetime
) -> bool:
    """Say whether an event, received at `received_at`, cancels the subscription's run."""
    if expires_at <= received_at:
        return False
    return expression is None or cel.matches(expression, {"async": event}, received_at)


def cancelled_entry(event_name: str, event_id: str) -> TimelineEntry:
    """Build the timeline's entry that says which event cancelled the run."""
    return cancellation_entry(
        "CancelledByEvent",
        f"Cancelled by the event {event_name} ({event_id}).",
        {"eventID": event_id, "eventName": event_name},
    )
