"""The page of an event: its payload, the runs it started, and why other functions did not run."""

from datetime import datetime
from typing import Any

from flask import Response
from sqlalchemy import Connection, RowMapping

from ...domain.access.roles import Role
from ...domain.errors import NotFound
from ...domain.functions.function_config import config_from_json
from ...domain.reports import event_outcome
from ...domain.reports.event_outcome import Candidate, StartedRun
from ...domain.values import canonical, ids
from ...storage.queries import audit_log, event_lookups, function_list, run_list, run_lookups
from ...storage.queries.reports import event_effects
from ..deps import context, read
from ..parts import event_effects as effect_lines
from ..parts import words
from ..rendering import page, url
from ..routes import route
from ..run_page.values import Value
from .run import download

# a longer event is judged by its name alone
_MOST_JUDGED = 1_000_000
_MOST_OTHERS = 100


@route("/events/<event_id>", Role.VIEWER)
def event(event_id: str) -> Response:
    """Show an event, the runs it started and the functions that listen to its name."""
    ids.check_ulid(event_id, "an event id")
    now = context().now()

    found = read(lambda tx: _load(tx, event_id, now))
    row = found["event"]
    text = row["payload"][: words.MOST_SHOWN]
    value = Value(
        "Payload",
        words.pretty(text) if row["size"] <= words.MOST_SHOWN else text,
        row["size"],
        url("event_raw", event_id=event_id),
    )
    return page(
        "event.html",
        **found,
        value=value,
        most=_MOST_OTHERS,
        most_attempts=event_effects.MOST_ATTEMPTS,
    )


def _load(tx: Connection, event_id: str, now: datetime) -> dict[str, Any]:
    """Read what an event's page shows. Raises NotFound."""
    row = event_lookups.head(tx, event_id, _MOST_JUDGED)
    if row is None:
        raise NotFound(f"event {event_id} does not exist: it never did, or it was deleted")
    runs = run_list.of_events(tx, [event_id])[event_id]
    made_for = _made_for(tx, runs)
    whole = row["size"] <= _MOST_JUDGED
    payload = canonical.loads(row["payload"]) if whole else {"name": row["name"]}
    candidates = [_candidate(one) for one in function_list.every(tx)]
    judged = event_outcome.outcomes(
        payload,
        row["received_at"],
        candidates,
        _by_function(runs),
        now,
        alone=made_for is not None,
    )
    known = {one.function_id for one in judged}
    others = [one for one in candidates if one.id not in known and not one.archived]
    sender = audit_log.sender(tx, event_id, row["received_at"])
    done = event_effects.of_event(tx, event_id, row["received_at"])
    effects = effect_lines.lines(done, runs)
    return {
        "event": row,
        "runs": runs,
        "verdicts": judged,
        "others": others,
        "effects": effects,
        "all_effects": done.is_all,
        "sender": sender,
        "made_for": made_for,
    }


def _made_for(tx: Connection, runs: list[RowMapping]) -> str | None:
    """Return the run for whose rerun the event was made, with other data; None for other events.

    The first run of another event is no rerun. It may be deleted, and then its reruns are alone.
    """
    repeated = {run["original_run_id"] for run in runs}
    first: str | None = None if None in repeated else min(repeated, default=None)
    return first if first is not None and run_lookups.function_of(tx, first) else None


def _by_function(runs: list[RowMapping]) -> dict[str, list[StartedRun]]:
    found: dict[str, list[StartedRun]] = {}
    for run in runs:
        one = StartedRun(
            run["id"], run["phase"] or run["status"], run["skip_reason"], run["original_run_id"]
        )
        found.setdefault(run["function_id"], []).append(one)
    return found


def _candidate(row: RowMapping) -> Candidate:
    return Candidate(
        row["id"],
        row["slug"],
        config_from_json(row["config"]),
        row["updated_at"],
        row["archived_at"] is not None,
    )


@route("/events/<event_id>/payload", Role.VIEWER)
def event_raw(event_id: str) -> Response:
    """Send an event's whole payload as a file."""
    ids.check_ulid(event_id, "an event id")
    row = read(lambda tx: event_lookups.get(tx, event_id))
    if row is None:
        raise NotFound(f"event {event_id} does not exist")
    return download(row["payload"], f"{event_id}.json")
