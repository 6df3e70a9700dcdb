"""Arrivals: events that are about to become runs of functions."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import RowMapping

from ... import observe
from ...domain.events import event_record
from ...domain.events.event_record import Event
from ...domain.values import canonical
from ...domain.values.json_types import JsonObject
from ...storage.queue.queue_items import ItemRow
from ..runtime.catalog import Function
from ..runtime.context import Hint

# what the events of a paused function start: runs that are skipped, or runs that wait
SKIP, HOLD = "skip", "hold"
FUNCTION_PAUSED = "FunctionPaused"  # the skip reason of flow-control.md §1


class Trigger:
    """An event that starts runs, parsed once, and only when a rule needs its fields.

    `received_at` is None for an event that was stored earlier and starts its run only now.
    """

    __slots__ = ("_parsed", "event", "received_at")

    def __init__(self, event: Event, received_at: datetime | None = None) -> None:
        self.event, self.received_at = event, received_at
        self._parsed: JsonObject | None = None

    @classmethod
    def of(cls, row: RowMapping) -> "Trigger":
        """Make a trigger of a stored event's row."""
        return cls(
            event_record.from_columns(
                id=row["id"],
                external_id=row["external_id"],
                name=row["name"],
                payload=row["payload"],
                ts_ms=int(row["ts"].timestamp() * 1000),
                internal=row["internal"],
            )
        )

    @property
    def fields(self) -> JsonObject:
        """The event as expressions see it."""
        if self._parsed is None:
            self._parsed = canonical.loads(self.event.payload)
        return self._parsed


@dataclass(slots=True)
class Arrival:
    """A run to be made from an event, or from a batch that begins with the event.

    A run with a `skip_reason` is never executed; `existing_run_id` names the run that prevents it.
    """

    trigger: Trigger
    function: Function
    run_id: str
    batch_id: str | None = None
    skip_reason: str | None = None
    existing_run_id: str | None = None
    singleton_key: str | None = None
    cron: str | None = None

    @property
    def event(self) -> Event:
        """The event; for a batch, its first one."""
        return self.trigger.event

    def due(self, now: datetime) -> datetime:
        """Say when the run may start: at the event's time, a batch at once (events.md §6)."""
        if self.batch_id is not None:
            return now
        return max(now, datetime.fromtimestamp(self.event.ts_ms / 1000, UTC))

    def heed_pause(self) -> None:
        """Skip the run if the function is paused, unless it holds events; it never holds crons."""
        paused = self.function.paused
        if paused == SKIP or (paused is not None and self.event.cron is not None):
            self.skip_reason = FUNCTION_PAUSED

    def invalid(self, rule: str, error: str) -> None:
        """Log that a rule's expression has failed for this event."""
        observe.event(
            "rule.invalid",
            level=30,
            rule=rule,
            function=self.function.slug,
            event_id=self.event.id,
            error=error,
        )


@dataclass(slots=True)
class FlowOutcome:
    """What rules leave besides runs: items to queue, hints to send, events dropped."""

    items: list[ItemRow] = field(default_factory=list)
    hints: list[Hint] = field(default_factory=list)
    dropped: list[Event] = field(default_factory=list)
    subscribed: bool = False  # runs were made that events may cancel
