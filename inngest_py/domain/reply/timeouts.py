"""Time-outs of runs: how long a run may wait for its first request, and how long it may take.

A run that exceeds either is cancelled (waits.md §7.3).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from ..functions.function_config import Timeouts
from ..runs.runs import Run, RunStatus
from ..values import canonical
from ..values.json_types import JsonObject
from .plans import Finish, Plan, TimelineEntry

CANCELLATION = "Cancellation"  # the timeline's entry that says why a run was cancelled


class Limit(StrEnum):
    """Which of the two time-outs."""

    START = "start"  # from the run's creation to its first request
    FINISH = "finish"  # from its first request to its end


@dataclass(frozen=True, slots=True)
class Exceeded:
    """The time-out that a run has exceeded."""

    limit: Limit
    after: timedelta

    @property
    def message(self) -> str:
        """The reason for people."""
        if self.limit is Limit.START:
            return f"The run did not start within {_shown(self.after)} (timeouts.start)."
        return f"The run did not finish within {_shown(self.after)} (timeouts.finish)."

    def text(self) -> str:
        """Write this for the timer's item; read() reads it."""
        ms = round(self.after / timedelta(milliseconds=1))
        return canonical.dumps({"after_ms": ms, "limit": self.limit.value}).decode()


def read(text: str) -> Exceeded:
    """Read the time-out that Exceeded.text() wrote into a timer's item."""
    given = canonical.loads(text)
    return Exceeded(Limit(given["limit"]), timedelta(milliseconds=given["after_ms"]))


def exceeded(timeouts: Timeouts | None, run: Run, now: datetime) -> Exceeded | None:
    """Say which time-out a run has exceeded before its next request; None for none."""
    if timeouts is None or run.started_at is None:
        return None
    if timeouts.start is not None and run.started_at - run.queued_at > timeouts.start:
        return Exceeded(Limit.START, timeouts.start)
    if timeouts.finish is not None and now - run.started_at > timeouts.finish:
        return Exceeded(Limit.FINISH, timeouts.finish)
    return None


def on_timer(timer: Exceeded, run: Run) -> Plan:
    """Cancel a run whose timer is due. A start timer does nothing to a run that has started."""
    if timer.limit is Limit.START and run.status is not RunStatus.QUEUED:
        return Plan()
    return cancelled("TimeoutExceeded", timer.message)


def cancelled(name: str, message: str) -> Plan:
    """Cancel the run and show why: it has neither a result nor an error (events.md §8.1)."""
    return Plan(
        finish=Finish(RunStatus.CANCELLED, None), timeline=[cancellation_entry(name, message)]
    )


def cancellation_entry(name: str, message: str, cause: JsonObject | None = None) -> TimelineEntry:
    """Build the timeline's entry that says why the run was cancelled.

    `cause` says by what, as far as that is known: `by` is an operator or a key, `eventID` and
    `eventName` an event, `runID` a newer run of the singleton, `cancellationID` one in bulk,
    `operationID` an operation.
    """
    error = canonical.dumps({"message": message, "name": name}).decode()
    info = canonical.dumps(cause).decode() if cause else None
    return TimelineEntry(None, CANCELLATION, CANCELLATION, "cancelled", error, info=info)


def _shown(length: timedelta) -> str:
    seconds = length.total_seconds()
    return f"{seconds:g} s"
