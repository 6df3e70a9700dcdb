"""Crons: the schedules of functions, one row each, with the next tick.

A row moves to its next tick under its lock, so each tick is used once.
"""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import (
    Connection,
    ForeignKey,
    Index,
    Row,
    Text,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from ...domain.alerts.rules import MissedTick
from ..db.columns import Base, Timestamp, table_of
from ..db.statements import SingleValue
from .functions import FunctionRow


class Cron(Base):
    """A cron trigger of a function; its time zone and jitter are part of the trigger.

    `missed_tick` is the first of the ticks that no worker took when it was last seen, at
    `missed_seen_at`, that there are any.
    """

    __tablename__ = "crons"
    # serves due() and first()
    __table_args__ = (Index("crons_tick_idx", "tick"),)
    function_id: Mapped[str] = mapped_column(
        ForeignKey("functions.id", ondelete="CASCADE"), primary_key=True
    )
    expression: Mapped[str] = mapped_column(Text, primary_key=True)
    tick: Mapped[datetime] = mapped_column(Timestamp)
    missed_tick: Mapped[datetime | None] = mapped_column(Timestamp)
    missed_seen_at: Mapped[datetime | None] = mapped_column(Timestamp)


_crons = table_of(Cron)
Key = tuple[str, str]  # function and expression
_first = SingleValue(select(func.min(_crons.c.tick)))


def of_app(tx: Connection, app_id: str) -> set[Key]:
    """List the schedules that are planned for an app's functions."""
    query = select(_crons.c.function_id, _crons.c.expression).join(
        FunctionRow, FunctionRow.id == _crons.c.function_id
    )
    return {(row[0], row[1]) for row in tx.execute(query.where(FunctionRow.app_id == app_id))}


def every(tx: Connection) -> list[Key]:
    """List all planned schedules."""
    rows = tx.execute(select(_crons.c.function_id, _crons.c.expression))
    return [(row[0], row[1]) for row in rows]


def add(tx: Connection, planned: Iterable[tuple[Key, datetime]]) -> None:
    """Write schedules with their first ticks."""
    rows = [
        {"function_id": function_id, "expression": expression, "tick": tick}
        for (function_id, expression), tick in planned
    ]
    if rows:
        tx.execute(insert(_crons), rows)


def remove(tx: Connection, key: Key) -> None:
    """Delete a schedule; it starts no more runs."""
    tx.execute(delete(_crons).where(_crons.c.function_id == key[0], _crons.c.expression == key[1]))


def first(tx: Connection) -> datetime | None:
    """Say when the next tick of all schedules is; None without schedules."""
    found: datetime | None = _first.value(tx)
    return found


def next_after(tx: Connection, now: datetime) -> datetime | None:
    """Say when the first tick after a moment is; None without one."""
    query = select(func.min(_crons.c.tick)).where(_crons.c.tick > now)
    return tx.execute(query).scalar()


def due(tx: Connection, now: datetime, limit: int) -> list[Row[tuple[str, str, datetime]]]:
    """Lock schedules whose tick has come, oldest tick first; skips locked ones."""
    query = (
        select(_crons.c.function_id, _crons.c.expression, _crons.c.tick)
        .where(_crons.c.tick <= now)
        .order_by(_crons.c.tick)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return list(tx.execute(query))


def note_missed(tx: Connection, key: Key, tick: datetime, now: datetime) -> None:
    """Store that a schedule has missed ticks, the first of them `tick`."""
    mine = update(_crons).where(_crons.c.function_id == key[0], _crons.c.expression == key[1])
    tx.execute(mine.values(missed_tick=tick, missed_seen_at=now))


def missed_since(tx: Connection, since: datetime) -> list[MissedTick]:
    """List the schedules that were seen since a time to have missed ticks."""
    query = (
        select(_crons.c.function_id, FunctionRow.slug, _crons.c.expression, _crons.c.missed_tick)
        .join(FunctionRow, FunctionRow.id == _crons.c.function_id)
        .where(_crons.c.missed_seen_at >= since)
        .order_by(_crons.c.missed_tick, _crons.c.function_id, _crons.c.expression)
    )
    return [MissedTick(*row) for row in tx.execute(query)]


def move(tx: Connection, key: Key, tick: datetime, following: datetime) -> bool:
    """Move a schedule from its tick to the following one; False when it has moved already."""
    moved = (
        update(_crons)
        .where(_crons.c.function_id == key[0], _crons.c.expression == key[1], _crons.c.tick == tick)
        .values(tick=following)
    )
    return tx.execute(moved).rowcount == 1
