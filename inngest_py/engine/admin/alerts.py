"""Alerts: check the figures, queue a message once per alert, and send it until it is accepted.

A worker claims a row before it checks, so one worker checks at a time. Messages are rows too, and
a worker claims those it sends. If it dies meanwhile, another worker sends them: a message may then
come twice, and none is lost. No database connection is held while a message is sent.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping

from ... import observe
from ...domain.reports import alerts as rules
from ...domain.reports.alerts import Alert, AlertRules
from ...domain.values import canonical
from ...storage.operations import alerts as rows
from ...storage.queries import queue_stats
from ..runtime.context import Context
from ..transport.http import Transport

EVERY = timedelta(seconds=15)
# how long a worker's claim on messages holds: longer than _AT_ONCE requests one after another
_HOLD = timedelta(seconds=60)
_PATIENCE = timedelta(seconds=10)
_AT_ONCE = 5
_LOOK = "look"
_HEADERS = {"Content-Type": "application/json", "User-Agent": "inngest-py"}


def queue_messages(ctx: Context, wanted: AlertRules) -> None:
    """Queue messages about alerts that begin or end; does nothing if another worker just did."""
    now = ctx.now()
    with ctx.db.transaction() as tx:
        if not rows.fire(tx, _LOOK, None, now, now - EVERY):
            return
        ended = rows.ended(tx, now - wanted.window) if wanted.failure_rate is not None else []
        due = queue_stats.due(tx, now) if wanted.backlog else []
        oldest = [one.oldest for one in due if one.oldest is not None]
        failing = rules.failing(wanted, ended)
        behind = rules.behind(wanted, min(oldest, default=None), now)
        _raise_and_resolve(tx, ctx, wanted, failing, rules.FAILURES, now)
        _raise_and_resolve(tx, ctx, wanted, behind, rules.BACKLOG, now)
        rows.forget(tx, now - wanted.quiet)


def _raise_and_resolve(
    tx: Connection,
    ctx: Context,
    wanted: AlertRules,
    found: Sequence[Alert],
    kind: str,
    now: datetime,
) -> None:
    for alert in found:
        about = canonical.dumps({"text": alert.text, "about": dict(alert.about)}).decode()
        if rows.fire(tx, alert.key, about, now, now - wanted.quiet):
            _queue(tx, ctx, wanted, alert, "firing", now)
            observe.event("alert.firing", level=30, alert=alert.key, text=alert.text)
    for over in rows.resolve(tx, kind, [alert.key for alert in found]):
        said = canonical.loads(over["about"])
        _queue(tx, ctx, wanted, Alert(over["key"], said["text"], said["about"]), "resolved", now)
        observe.event("alert.resolved", alert=over["key"])


def _queue(
    tx: Connection, ctx: Context, wanted: AlertRules, alert: Alert, state: str, now: datetime
) -> None:
    body = rules.message(alert.key, alert.text, alert.about, now, state)
    rows.post(
        tx,
        [
            {
                "id": ctx.new_id(now),
                "receiver": receiver(url),
                "body": body,
                "due_at": now,
                "attempt": 0,
            }
            for url in wanted.urls
        ],
    )


def receiver(url: str) -> str:
    """Name a receiver without its URL, which may be its only secret."""
    return hashlib.sha256(url.encode()).hexdigest()[:16]


def send(ctx: Context, wanted: AlertRules, transport: Transport) -> bool:
    """Send the messages that are due; say whether there may be more."""
    with ctx.db.transaction() as tx:
        taken = rows.take_due(tx, ctx.now(), _HOLD, _AT_ONCE)
    urls = {receiver(url): url for url in wanted.urls}
    for message in taken:
        _send(ctx, message, urls.get(message["receiver"]), transport)
    return len(taken) == _AT_ONCE


def _send(ctx: Context, message: RowMapping, url: str | None, transport: Transport) -> None:
    problem = "its URL is not among this worker's settings"
    if url is not None:
        target, body = rules.request(url, message["body"])
        reply = transport.send("POST", target, _HEADERS, body, _PATIENCE)
        if 200 <= reply.status < 300:
            with ctx.db.transaction() as tx:
                rows.sent(tx, message)
            return
        problem = reply.unreachable or f"status {reply.status}"
    attempt, fields = message["attempt"], {"receiver": message["receiver"], "error": problem}
    with ctx.db.transaction() as tx:
        if attempt >= rules.MOST_ATTEMPTS:
            rows.sent(tx, message)
        else:
            rows.send_later(tx, message, ctx.now() + rules.retry_delay(attempt, ctx.jitter()))
    if attempt >= rules.MOST_ATTEMPTS:
        observe.event("alert.lost", level=40, attempt=attempt, **fields)
    else:
        observe.event("alert.not_sent", level=30, attempt=attempt, **fields)
