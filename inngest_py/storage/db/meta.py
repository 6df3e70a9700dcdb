"""Small facts about the installation: numbers by name."""

from sqlalchemy import Connection, Text, select
from sqlalchemy.orm import Mapped, mapped_column

from .columns import Base, BigId
from .session import upsert


class Meta(Base):
    """A fact about the installation, by its key."""

    __tablename__ = "meta"
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    value: Mapped[int] = mapped_column(BigId)


def value(tx: Connection, key: str) -> int | None:
    """Read a fact; None when it was never written."""
    found: int | None = tx.execute(select(Meta.value).where(Meta.key == key)).scalar()
    return found


def put(tx: Connection, key: str, value: int) -> None:
    """Write a fact."""
    tx.execute(upsert(tx, Meta, {"key": key, "value": value}, keys=["key"]))
