"""Look at what is wrong, and queue a message for each receiver once per alert.

A worker claims a row before it looks, so one worker looks at a time.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from ... import observe
from ...domain.alerts import messages, rules
from ...domain.alerts.receivers import Receiver
from ...domain.alerts.rules import MOMENTS, Alert, AlertKind, AlertRules, Backlog
from ...domain.values import canonical
from ...storage.catalog import apps_down, crons
from ...storage.operations import alerts as rows
from ...storage.queries import queue_stats
from ...storage.queries.errors import groups
from ..runtime.context import Context

EVERY = timedelta(seconds=15)
_LOOK, _SAMPLES = "look", "samples"
# What happens at a moment is found for so long after it, and told once: a worker that is late, or
# an alert's look that fails, loses nothing.
_MOMENT_FOUND = timedelta(minutes=30)
_MOMENT_KEPT = 2 * _MOMENT_FOUND
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_FOUND = 1000
_MANY = {
    AlertKind.MISSED_TICK: ("missed ticks of crons", "/functions"),
    AlertKind.NEW_ERROR: ("new errors", "/errors"),
}


def queue_messages(ctx: Context, wanted: AlertRules, to: Sequence[Receiver]) -> None:
    """Queue messages about alerts that begin or end; does nothing if another worker just did."""
    now = ctx.now()
    with ctx.db.transaction() as tx:
        if not rows.fire(tx, _LOOK, None, now, now - EVERY):
            return
        for kind in AlertKind:
            if wanted.watches(kind):
                _tell(tx, ctx, wanted, kind, _find(tx, wanted, kind, now), to)
        rows.forget(tx, now - max(wanted.quiet, _MOMENT_KEPT))


def _find(tx: Connection, wanted: AlertRules, kind: AlertKind, now: datetime) -> list[Alert]:
    match kind:
        case AlertKind.FAILURES:
            return rules.failing(wanted, rows.ended(tx, now - wanted.window))
        case AlertKind.BACKLOG:
            return rules.behind(wanted, _backlog(tx, now))
        case AlertKind.GROWING_BACKLOG:
            return rules.growing(_sampled(tx, now))
        case AlertKind.APP_DOWN:
            return rules.down(apps_down.named(tx), now)
        case AlertKind.MISSED_TICK:
            return rules.missed(crons.missed_since(tx, now - _MOMENT_FOUND))
        case AlertKind.NEW_ERROR:
            return rules.new_errors(groups.new_since(tx, now - _MOMENT_FOUND, _MOST_FOUND))


def _backlog(tx: Connection, now: datetime) -> Backlog:
    due = queue_stats.due(tx, now)
    oldest = min((one.oldest for one in due if one.oldest is not None), default=now)
    count = sum(one.count for one in due)
    return Backlog(now, count, now - oldest, is_bound=count >= queue_stats.MOST_COUNTED)


def _sampled(tx: Connection, now: datetime) -> list[Backlog]:
    """Return the looks at the queue of the last minutes, and store them with one of now."""
    before = canonical.loads(rows.noted(tx, _SAMPLES) or "[]")
    seen = [
        Backlog(datetime.fromisoformat(at), count, timedelta(seconds=age), is_bound=is_bound)
        for at, count, age, is_bound in before
    ]
    seen = rules.recent([*seen, _backlog(tx, now)], now)
    kept = [[one.at.isoformat(), one.count, one.age.total_seconds(), one.is_bound] for one in seen]
    rows.note(tx, _SAMPLES, canonical.dumps(kept).decode(), now)
    return seen


def _tell(
    tx: Connection,
    ctx: Context,
    wanted: AlertRules,
    kind: AlertKind,
    found: Sequence[Alert],
    to: Sequence[Receiver],
) -> None:
    now, lasts = ctx.now(), kind not in MOMENTS
    told_before = now - wanted.quiet if lasts else _NEVER
    new = []
    for alert in found:
        said = {"text": alert.text, "about": dict(alert.about), "path": alert.path}
        about = canonical.dumps(said).decode()
        if rows.fire(tx, alert.key, about, now, told_before, lasts=lasts):
            new.append(alert)
            observe.event("alert.firing", level=30, alert=alert.key, text=alert.text)
    if kind in _MANY:
        what, path = _MANY[kind]
        new = rules.joined(new, path, what)
    for alert in new:
        queue(tx, ctx, wanted, alert, messages.FIRING, to)
    if not lasts:
        return
    for over in rows.resolve(tx, kind, [alert.key for alert in found]):
        queue(tx, ctx, wanted, _stored(over["key"], over["about"]), messages.RESOLVED, to)
        observe.event("alert.resolved", alert=over["key"])


def _stored(key: str, about: str) -> Alert:
    kind, _, subject = key.partition(":")
    said = canonical.loads(about)
    return Alert(AlertKind(kind), subject, said["text"], said.get("path", "/"), said["about"])


def queue(
    tx: Connection,
    ctx: Context,
    wanted: AlertRules,
    alert: Alert,
    state: str,
    to: Iterable[Receiver],
) -> None:
    """Queue a message about an alert for each receiver that wants its kind."""
    now = ctx.now()
    body = messages.message(alert, now, state, wanted.dashboard_url)
    rows.post(
        tx,
        [
            {
                "id": ctx.new_id(now),
                "receiver": receiver.id,
                "body": body,
                "due_at": now,
                "attempt": 0,
            }
            for receiver in to
            if receiver.wants(alert.kind)
        ],
    )


def firing(tx: Connection) -> list[tuple[Alert, datetime]]:
    """List the alerts that are firing, with the time of their last message, newest first."""
    found = rows.firing(tx, AlertKind)
    return [(_stored(row["key"], row["about"]), row["told_at"]) for row in found]
