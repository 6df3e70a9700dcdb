"""Small facts about the installation: numbers by their names."""

from sqlalchemy import Connection, Text, select
from sqlalchemy.orm import Mapped, mapped_column

from .columns import Base, BigId
from .session import upsert


class Meta(Base):
    """Small facts about the installation, by key."""

    __tablename__ = "meta"
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    value: Mapped[int] = mapped_column(BigId)


def value(tx: Connection, key: str) -> int | None:
    """Read a fact; None when nobody has noted it."""
    found: int | None = tx.execute(select(Meta.value).where(Meta.key == key)).scalar()
    return found


def put(tx: Connection, key: str, value: int) -> None:
    """Note a fact."""
    tx.execute(upsert(tx, Meta, {"key": key, "value": value}, keys=["key"]))
