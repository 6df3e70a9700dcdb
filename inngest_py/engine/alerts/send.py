"""Send the messages about alerts until they are accepted.

Messages are rows, and a worker claims those it sends. If it dies meanwhile, another worker sends
them: a message may then come twice, and none is lost. No database connection is held while a
message is sent.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from sqlalchemy import RowMapping

from ... import observe
from ...domain.alerts import messages
from ...domain.alerts.messages import Mail
from ...domain.alerts.receivers import Receiver
from ...domain.alerts.rules import AlertRules
from ...storage.operations import alert_receivers
from ...storage.operations import alerts as rows
from ..runtime.context import Context
from ..transport.http import Transport
from . import mail

# how long a worker's claim on messages holds: longer than _AT_ONCE requests one after another
_HOLD = timedelta(seconds=60)
_PATIENCE = timedelta(seconds=10)
_AT_ONCE = 5
_HEADERS = {"Content-Type": "application/json", "User-Agent": "inngest-py"}


def send_due(
    ctx: Context, wanted: AlertRules, to: Sequence[Receiver], transport: Transport
) -> bool:
    """Send the messages that are due; say whether there may be more."""
    with ctx.db.transaction() as tx:
        taken = rows.take_due(tx, ctx.now(), _HOLD, _AT_ONCE)
    known = {receiver.id: receiver for receiver in to}
    for message in taken:
        _send(ctx, wanted, message, known, transport)
    return len(taken) == _AT_ONCE


def _send(
    ctx: Context,
    wanted: AlertRules,
    message: RowMapping,
    known: Mapping[str, Receiver],
    transport: Transport,
) -> None:
    receiver = known.get(message["receiver"])
    if receiver is None:
        problem: str | None = "its URL is not among this worker's settings"
    else:
        problem = send(wanted, receiver, message["body"], transport)
    attempt, now = message["attempt"], ctx.now()
    is_last = attempt >= messages.MOST_ATTEMPTS
    with ctx.db.transaction() as tx:
        if problem is None or is_last:
            rows.sent(tx, message)
        else:
            rows.send_later(tx, message, now + messages.retry_delay(attempt, ctx.jitter()))
        if problem is None:
            alert_receivers.note_sent(tx, message["receiver"], now)
        else:
            alert_receivers.note_failed(tx, message["receiver"], now, problem)
    if problem is not None:
        fields = {"attempt": attempt, "receiver": message["receiver"], "error": problem}
        if is_last:
            observe.event("alert.lost", level=40, **fields)
        else:
            observe.event("alert.not_sent", level=30, **fields)


def send(wanted: AlertRules, receiver: Receiver, body: str, transport: Transport) -> str | None:
    """Send a message, and wait for the answer; return what is wrong, or None if it is accepted."""
    shaped = messages.for_receiver(receiver, body)
    if isinstance(shaped, Mail):
        return mail.send(wanted.smtp_url, wanted.smtp_from, shaped, _PATIENCE)
    reply = transport.send("POST", shaped.url, _HEADERS, shaped.body, _PATIENCE)
    if 200 <= reply.status < 300:
        return None
    return reply.unreachable or f"it answered with status {reply.status}"
