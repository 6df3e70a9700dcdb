"""Gateways: the processes that hold connections of workers."""

from datetime import datetime

from sqlalchemy import Connection, RowMapping, Text, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from ..db.columns import Base, Timestamp, table_of
from ..db.row_types import RowValues
from ..db.session import upsert


class Gateway(Base):
    """A process to which workers connect, with its last heartbeat.

    `url` is what workers are told to connect to, by its own setting; empty where they come by the
    address of the API.
    """

    __tablename__ = "gateways"
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    url: Mapped[str] = mapped_column(Text)
    is_draining: Mapped[bool]
    heartbeat_at: Mapped[datetime] = mapped_column(Timestamp)


_gateways = table_of(Gateway)


def put(tx: Connection, values: RowValues) -> None:
    """Write that a gateway lives, whether or not it was known."""
    tx.execute(upsert(tx, Gateway, values, keys=["id"]))


def alive(tx: Connection, since: datetime) -> list[RowMapping]:
    """List the gateways that have been heard of since a time, by name."""
    heard = select(_gateways).where(_gateways.c.heartbeat_at >= since)
    return list(tx.execute(heard.order_by(_gateways.c.name, _gateways.c.id)).mappings())


def remove(tx: Connection, gateway_id: str) -> None:
    """Delete a gateway that has stopped properly."""
    tx.execute(delete(Gateway).where(Gateway.id == gateway_id))


def remove_silent(tx: Connection, before: datetime) -> None:
    """Delete gateways whose last heartbeat was before a time."""
    tx.execute(delete(Gateway).where(Gateway.heartbeat_at < before))
