"""What became of an event: the runs that it started, its debounce, its event batches.

Dropped events are not recorded, so a rate limit can only be named as a likely reason.
"""

from datetime import datetime

from sqlalchemy import Connection, RowMapping

from ...domain.errors import NotFound
from ...domain.flow import keys
from ...domain.flow.debounce import BUFFER
from ...domain.reports import why as words
from ...domain.reports.why import Reason
from ...domain.values import canonical
from ...storage.catalog import functions as function_rows
from ...storage.events import events
from ...storage.queries import run_list
from ...storage.queries import why_waiting as rows
from ..flow import limits
from ..flow.arrivals import Trigger
from ..runtime.catalog import Function
from ..runtime.context import Context
from .why_run_waits import Explained

_MOST_RUNS = 50


def of_event(ctx: Context, event_id: str) -> Explained:
    """Say what became of an event, given by its internal id. Raises NotFound."""
    now = ctx.now()
    with ctx.db.reading() as tx:
        row = events.get(tx, event_id)
        if row is None:
            raise NotFound(f"event {event_id} does not exist")
        since = row["received_at"]
        runs = run_list.of_event(tx, event_id)
        reasons = [
            words.started(run["id"], run["function_slug"], run["status"], run["queued_at"])
            for run in runs[:_MOST_RUNS]
        ]
        seen = {run["function_id"] for run in runs}
        ctx.catalog.refresh(tx)
        for batch in rows.batches(tx, event_id):
            seen.add(batch["function_id"])
            reasons.append(_batched(tx, ctx, batch))
        for parked in rows.parked_for_missing(tx, event_id, ctx.catalog.unreadable):
            archived = parked["archived_at"] is not None
            kept = words.kept(parked["slug"], "debounce", parked["fires_at"], archived=archived)
            reasons.append(kept)
        workers = rows.alive(tx, now)
        matching = _matching(ctx, row, now)
        reasons += [
            _parked_or_not(tx, function, row, since, now)
            for function in matching
            if function.id not in seen
        ]
    if not reasons:
        reasons = [words.unmatched(row["name"], since)]
    reasons += words.overdue(reasons, workers, now)
    return Explained(event_id, "stored", reasons, len(runs) > _MOST_RUNS)


def _matching(ctx: Context, row: RowMapping, now: datetime) -> list[Function]:
    event = Trigger.of(row).event
    if event.target is None:
        return ctx.catalog.matching(event.name, event.payload, now)
    named = ctx.catalog.by_slug.get(event.target) or ctx.catalog.by_id.get(event.target)
    return [] if named is None else [named]


def _batched(tx: Connection, ctx: Context, batch: RowMapping) -> Reason:
    row = function_rows.function(tx, batch["function_id"])
    archived = row is not None and row["archived_at"] is not None
    if row is not None and (archived or row["id"] in ctx.catalog.unreadable):
        return words.kept(row["slug"], "batch", batch["due_at"], archived=archived)
    config = None if row is None else canonical.loads(row["config"]).get("batch")
    most = config["max_size"] if config else batch["count"]
    slug = batch["function_id"] if row is None else row["slug"]
    return words.batched(slug, batch["count"], most, batch["due_at"], batch["added_at"])


def _parked_or_not(
    tx: Connection, function: Function, row: RowMapping, since: datetime, now: datetime
) -> Reason:
    """Say why a matching function has no run: the event is parked, repeated, or dropped."""
    rule = function.config.debounce
    if rule is not None:
        fields = canonical.loads(row["payload"]) if rule.key else {}
        text = keys.text(rule.key, fields, now)
        found = rows.parked(tx, keys.bucket(function.id, text))
        if found is not None:
            fires = found["fires_at"] + BUFFER
            return words.debounced(function.slug, found["event_id"], row["id"], fires, since)
    other = None
    if row["external_id"] != row["id"]:
        other = events.run_of_key(tx, f"{function.id}:{row['external_id']}", now)
    return words.not_started(function.slug, _dropping(function, now), other, since)


def _dropping(function: Function, now: datetime) -> str | None:
    """Name the rule that may have dropped an event; None if no rule can."""
    rate = limits.rate_limit(function, now)
    if rate is not None:
        return "idempotency" if rate.idempotency else "rate_limit"
    return None if function.config.debounce is None else "debounce_dropped"
