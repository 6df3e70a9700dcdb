"""Small facts about the installation: numbers by name."""

from sqlalchemy import Connection, Text, select, update
from sqlalchemy.orm import Mapped, mapped_column

from .columns import Base, BigId
from .session import insert, upsert


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


def put_first(tx: Connection, key: str, value: int) -> bool:
    """Write a fact unless it is there already; say whether it was not."""
    first = insert(tx, Meta).values(key=key, value=value).on_conflict_do_nothing()
    return bool(tx.execute(first).rowcount)


def move(tx: Connection, key: str, before: int, value: int) -> bool:
    """Change a fact if it still has a value; say whether it had. This locks the fact."""
    mine = Meta.key == key, Meta.value == before
    return bool(tx.execute(update(Meta).where(*mine).values(value=value)).rowcount)
