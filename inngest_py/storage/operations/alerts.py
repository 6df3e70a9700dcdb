"""Alerts: which are firing, and the messages about them that have to be sent.

A URL may be a secret, so a message names its receiver by a hash of it.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    Connection,
    Index,
    RowMapping,
    Text,
    delete,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from ...domain.alerts.rules import EndedRuns
from ...domain.runs.runs import RunStatus
from ..catalog.functions import FunctionRow
from ..db.columns import Base, Json, Timestamp, table_of
from ..db.row_types import RowValues
from ..db.session import insert, skip_locked, upsert
from ..runs.runs import RunRow

MOST_RUNS = 10_000


class AlertRow(Base):
    """An alert that has fired, and when its last message was made; `about` is its data (JSON)."""

    __tablename__ = "alerts"
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    firing: Mapped[bool]
    told_at: Mapped[datetime] = mapped_column(Timestamp)
    about: Mapped[str | None] = mapped_column(Json)


class AlertMessage(Base):
    """A message to one receiver; `attempt` counts how often it was taken to be sent."""

    __tablename__ = "alert_messages"
    # serves take_due()
    __table_args__ = (Index("alert_messages_due_idx", "due_at"),)
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    receiver: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Json)
    due_at: Mapped[datetime] = mapped_column(Timestamp)
    attempt: Mapped[int]


_alerts, _messages = table_of(AlertRow), table_of(AlertMessage)
_runs, _functions = table_of(RunRow), table_of(FunctionRow)


def fire(
    tx: Connection,
    key: str,
    about: str | None,
    now: datetime,
    told_before: datetime,
    *,
    lasts: bool = True,
) -> bool:
    """Note that an alert fires; True, to one caller only, when a message has to be sent now.

    No message is sent again while the last one is newer than `told_before`. What does not last is
    over at once. Locks the alert's row.
    """
    values = {"key": key, "firing": lasts, "told_at": now, "about": about}
    statement = insert(tx, AlertRow).values(values)
    fired = statement.on_conflict_do_update(
        index_elements=["key"],
        set_={name: statement.excluded[name] for name in ("firing", "told_at", "about")},
        where=_alerts.c.told_at <= told_before,
    )
    return tx.execute(fired.returning(_alerts.c.key)).first() is not None


def firing(tx: Connection, kinds: Iterable[str]) -> Sequence[RowMapping]:
    """List the alerts of these kinds that are firing, newest first."""
    query = select(_alerts).where(_alerts.c.firing, or_(*(_of_kind(kind) for kind in kinds)))
    return tx.execute(query.order_by(_alerts.c.told_at.desc(), _alerts.c.key)).mappings().all()


def _of_kind(kind: str) -> ColumnElement[bool]:
    return or_(_alerts.c.key == kind, _alerts.c.key.startswith(f"{kind}:", autoescape=True))


def resolve(tx: Connection, kind: str, still: Iterable[str]) -> list[RowMapping]:
    """End the firing alerts of a kind, except `still`. Each is returned to one caller only."""
    over = (
        update(_alerts)
        .where(
            _alerts.c.firing,
            _of_kind(kind),
            _alerts.c.key.not_in(list(still)),
        )
        .values(firing=False)
        .returning(_alerts.c.key, _alerts.c.about)
    )
    return list(tx.execute(over).mappings())


def note(tx: Connection, key: str, about: str, now: datetime) -> None:
    """Store what the looks of this service have to remember; it is no alert."""
    values = {"key": key, "firing": False, "told_at": now, "about": about}
    tx.execute(upsert(tx, AlertRow, values, keys=["key"]))


def noted(tx: Connection, key: str) -> str | None:
    """Return what note() has stored; None without it."""
    return tx.execute(select(_alerts.c.about).where(_alerts.c.key == key)).scalar()


def forget(tx: Connection, before: datetime) -> None:
    """Delete alerts that are over and whose last message was made before a time."""
    tx.execute(delete(_alerts).where(_alerts.c.firing.is_(False), _alerts.c.told_at < before))


def post(tx: Connection, rows: Sequence[RowValues]) -> None:
    """Queue messages."""
    if rows:
        tx.execute(_messages.insert(), list(rows))


def take_due(tx: Connection, now: datetime, hold: timedelta, limit: int) -> list[RowMapping]:
    """Take messages that are due. Nobody else can take them during `hold`."""
    due = select(_messages.c.id).where(_messages.c.due_at <= now)
    due = skip_locked(tx, due.order_by(_messages.c.due_at).limit(limit))
    taken = (
        update(_messages)
        .where(_messages.c.id.in_(due), _messages.c.due_at <= now)
        .values(due_at=now + hold, attempt=_messages.c.attempt + 1)
        .returning(*_messages.c)
    )
    return list(tx.execute(taken).mappings())


def drop_messages(tx: Connection, receiver: str) -> None:
    """Delete the messages to a receiver that is gone."""
    tx.execute(delete(_messages).where(_messages.c.receiver == receiver))


def sent(tx: Connection, message: RowMapping) -> None:
    """Delete a message that was sent, unless another process has taken it meanwhile."""
    tx.execute(delete(_messages).where(*_mine(message)))


def send_later(tx: Connection, message: RowMapping, due_at: datetime) -> None:
    """Set when to send a message again, unless another process has taken it meanwhile."""
    tx.execute(update(_messages).where(*_mine(message)).values(due_at=due_at))


def _mine(message: RowMapping) -> tuple[ColumnElement[bool], ...]:
    return (_messages.c.id == message["id"], _messages.c.attempt == message["attempt"])


def ended(tx: Connection, since: datetime) -> list[EndedRuns]:
    """Count the runs that ended since a time, by function; looks at the newest MOST_RUNS."""
    counted = (RunStatus.COMPLETED.value, RunStatus.FAILED.value)
    newest = (
        select(_runs.c.function_id, _runs.c.status)
        .where(_runs.c.ended_at >= since, or_(*(_runs.c.status == one for one in counted)))
        .order_by(_runs.c.ended_at.desc())
        .limit(MOST_RUNS)
        .subquery()
    )
    failed = func.count().filter(newest.c.status == RunStatus.FAILED.value)
    query = (
        select(newest.c.function_id, _functions.c.slug, failed, func.count())
        .join(_functions, _functions.c.id == newest.c.function_id)
        .group_by(newest.c.function_id, _functions.c.slug)
        .order_by(_functions.c.slug)
    )
    return [EndedRuns(*row) for row in tx.execute(query)]
