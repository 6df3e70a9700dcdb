"""The timeline of an event: what it did, in the order in which it did it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import RowMapping

from ...domain.steps.opcodes import Opcode
from ...storage.queries.reports.event_effects import EventEffects


@dataclass(frozen=True, slots=True)
class Effect:
    """One thing that an event did; `at` is None where the time is not stored.

    `kind` is the class of its mark. `text` is about `function`; `run_id` is the run that it is
    about, if any, and `until` when something else follows.
    """

    at: datetime | None
    kind: str
    text: str
    function: str
    run_id: str | None = None
    until: datetime | None = None


def lines(found: EventEffects, runs: Sequence[Mapping[str, object] | RowMapping]) -> list[Effect]:
    """List what an event did, oldest first, with the runs that it started."""
    batched = {row["run_id"] for row in found.batches}
    made = [_started(run) for run in runs if run["id"] not in batched]
    made += [_batch(row) for row in found.batches]
    made += [
        Effect(
            row["first_at"],
            "queued",
            "was parked by the debounce of",
            row["slug"],
            until=row["fires_at"],
        )
        for row in found.debounces
    ]
    made += [_ended(row) for row in found.ended]
    made += [
        Effect(None, "running", _wait(row["name"]), row["slug"], row["run_id"])
        for row in found.answered
    ]
    return sorted(made, key=lambda one: (one.at is None, one.at))


def _started(run: Mapping[str, object] | RowMapping) -> Effect:
    verb = "started a run of" if run["status"] != "skipped" else "was skipped by"
    if run["original_run_id"] is not None:
        verb = "was used again for a run of"
    queued_at, function, run_id = run["queued_at"], run["function_slug"], run["id"]
    assert isinstance(queued_at, datetime)
    return Effect(queued_at, str(run["status"]), verb, str(function), str(run_id))


def _batch(row: RowMapping) -> Effect:
    text = f"became event {row['position'] + 1} of"
    if row["run_id"] is None:
        return Effect(row["added_at"], "queued", text, "an open batch", until=row["due_at"])
    return Effect(row["added_at"], "running", f"{text} a batch of", row["slug"], row["run_id"])


def _ended(row: RowMapping) -> Effect:
    if row["status"] == "cancelled":
        return Effect(
            row["ended_at"], "cancelled", "cancelled a run of", row["slug"], row["run_id"]
        )
    if row["op"] == Opcode.INVOKE_FUNCTION.value:
        text = f"answered the invocation {row['name']!r} of"
        return Effect(row["ended_at"], "completed", text, row["slug"], row["run_id"])
    return Effect(row["ended_at"], "completed", _wait(row["name"]), row["slug"], row["run_id"])


def _wait(name: str | None) -> str:
    return f"ended the wait {name!r} of" if name else "ended a wait of"
