"""Add, change, remove and try out the receivers of alerts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, RowMapping
from sqlalchemy.exc import IntegrityError

from ... import observe
from ...domain.alerts import messages, receivers
from ...domain.alerts.receivers import Receiver, ReceiverKind
from ...domain.alerts.rules import Alert, AlertKind, AlertRules
from ...domain.errors import Conflict, Invalid, NotFound
from ...domain.values import canonical
from ...storage.operations import alert_receivers as rows
from ...storage.operations import alerts
from ..runtime import audit
from ..runtime.audit import Actor
from ..runtime.context import Context
from ..transport.http import Transport
from . import mail
from .send import send

MOST_RECEIVERS = 100


@dataclass(frozen=True, slots=True)
class Given:
    """What people say of a receiver; of one that is changed, what is None stays as it is."""

    name: str | None = None
    kind: str | None = None
    target: str | None = None
    alerts: Sequence[str] | None = None


def read(row: RowMapping) -> Receiver:
    """Make a receiver of its row."""
    alerts = frozenset(
        AlertKind(kind) for kind in canonical.loads(row["alerts"]) if kind in set(AlertKind)
    )
    return Receiver(row["id"], row["name"], ReceiverKind(row["kind"]), row["target"], alerts)


def added(tx: Connection) -> Sequence[RowMapping]:
    """List the receivers that people have added, by name, with how the last message went."""
    return rows.every(tx)


def get(tx: Connection, receiver_id: str) -> RowMapping:
    """Find a receiver. Raises NotFound."""
    found = rows.get(tx, receiver_id)
    if found is None:
        raise _unknown(receiver_id)
    return found


def known(ctx: Context, wanted: AlertRules) -> list[Receiver]:
    """List the receivers of the settings, and those in the database."""
    with ctx.db.reading() as tx:
        added = [read(row) for row in rows.every(tx)]
    return [*receivers.of_settings(wanted.urls), *added]


def add(ctx: Context, given: Given, by: Actor | None = None) -> str:
    """Add a receiver; return its id. Raises Invalid, and Conflict for a name in use."""
    now = ctx.now()
    receiver_id = ctx.new_id(now)
    values = _values(ctx, given, None)
    try:
        with ctx.db.transaction() as tx:
            if len(rows.every(tx)) >= MOST_RECEIVERS:
                raise Conflict(f"there are {MOST_RECEIVERS} receivers already: remove one first")
            rows.add(tx, {**values, "id": receiver_id, "created_at": now})
            _note(tx, by, now, "alert_receiver.add", values)
    except IntegrityError as error:
        raise _in_use(values) from error
    return receiver_id


def change(ctx: Context, receiver_id: str, given: Given, by: Actor | None = None) -> None:
    """Change a receiver. Raises NotFound, Invalid, and Conflict for a name in use."""
    now = ctx.now()
    with ctx.db.reading() as tx:
        old = get(tx, receiver_id)
    if given.kind not in (None, old["kind"]) and given.target is None:
        raise Invalid("another kind needs its own target: give target, too", field="target")
    values = _values(ctx, given, old)
    try:
        with ctx.db.transaction() as tx:
            if not rows.change(tx, receiver_id, {**values, "failed_at": None, "error": None}):
                raise _unknown(receiver_id)
            _note(tx, by, now, "alert_receiver.change", values)
    except IntegrityError as error:
        raise _in_use(values) from error


def remove(ctx: Context, receiver_id: str, by: Actor | None = None) -> None:
    """Remove a receiver, with the messages that it has not got yet. Raises NotFound."""
    with ctx.db.transaction() as tx:
        old = get(tx, receiver_id)
        rows.remove(tx, receiver_id)
        alerts.drop_messages(tx, receiver_id)
        _note(tx, by, ctx.now(), "alert_receiver.remove", old)


def test(ctx: Context, receiver_id: str, by: Actor | None = None) -> str | None:
    """Send a message to try a receiver out; return what is wrong, or None if it is accepted.

    Waits for the answer, some ten seconds at most. Raises NotFound.
    """
    wanted, now = ctx.tuning.alerts, ctx.now()
    with ctx.db.transaction() as tx:
        row = get(tx, receiver_id)
        _note(tx, by, now, "alert_receiver.test", row)
    text = "This is a test of alerts: nothing is wrong"
    alert = Alert(AlertKind.FAILURES, f"test:{receiver_id}", text, "/alerts", {"test": True})
    # RESOLVED: nobody is woken by it
    body = messages.message(alert, now, messages.RESOLVED, wanted.dashboard_url)
    refusal = ctx.tuning.reach.for_configured_hosts().refusal
    transport = Transport(connections=1, hosts=1, refusal=refusal)
    try:
        problem = send(wanted, read(row), body, transport)
    finally:
        transport.close()
    with ctx.db.transaction() as tx:
        if problem is None:
            rows.note_sent(tx, receiver_id, ctx.now())
        else:
            rows.note_failed(tx, receiver_id, ctx.now(), problem)
    observe.event("alert.tried", receiver=receiver_id, error=problem)
    return problem


def _values(ctx: Context, given: Given, old: RowMapping | None) -> dict[str, object]:
    """Check what is given, and return all columns that people set. Raises Invalid."""
    for name in ("name", "kind", "target"):
        if old is None and not getattr(given, name):
            raise Invalid(f"{name} is missing", field=name)
    name = old["name"] if given.name is None and old is not None else str(given.name)
    kind = receivers.read_kind(
        old["kind"] if given.kind is None and old is not None else str(given.kind)
    )
    target = old["target"] if given.target is None and old is not None else str(given.target)
    if kind is ReceiverKind.EMAIL and not _has_mail(ctx):
        raise Invalid(mail.NO_SERVER, field="kind")
    if given.alerts is None and old is not None:
        wanted = old["alerts"]
    else:
        wanted = canonical.dumps(sorted(receivers.read_alerts(given.alerts or ()))).decode()
    return {
        "name": receivers.check_name(name),
        "kind": kind.value,
        "target": receivers.check_target(kind, target),
        "alerts": wanted,
    }


def _has_mail(ctx: Context) -> bool:
    rules = ctx.tuning.alerts
    return rules.smtp_url is not None and bool(rules.smtp_from)


def _unknown(receiver_id: str) -> NotFound:
    return NotFound(f"there is no receiver of alerts {receiver_id[:50]!r}")


def _in_use(values: dict[str, object]) -> Conflict:
    return Conflict(f"there is a receiver called {values['name']} already")


def _note(
    tx: Connection,
    by: Actor | None,
    now: datetime,
    action: str,
    row: RowMapping | dict[str, object],
) -> None:
    audit.note(tx, by, now, action, str(row["name"]), str(row["kind"]))
