"""API tokens: the hash of each, what it may do, and until when."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import (
    Connection,
    Index,
    RowMapping,
    Text,
    delete,
    func,
    insert,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from ..db.columns import Base, Timestamp, table_of

_LIVE = text("revoked_at IS NULL")


class ApiTokenRow(Base):
    """A token that programs send as a key; `hash` is all that is stored of it."""

    __tablename__ = "api_tokens"
    # of two tokens of one name, one has to be revoked
    __table_args__ = (
        Index(
            "api_tokens_name_idx",
            "name",
            unique=True,
            postgresql_where=_LIVE,
            sqlite_where=_LIVE,
        ),
    )
    id: Mapped[str] = mapped_column(Text, primary_key=True)  # ULID
    hash: Mapped[str] = mapped_column(Text, unique=True)
    name: Mapped[str] = mapped_column(Text)
    scope: Mapped[str] = mapped_column(Text)
    created_by: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Timestamp)
    expires_at: Mapped[datetime | None] = mapped_column(Timestamp)  # None: never
    revoked_at: Mapped[datetime | None] = mapped_column(Timestamp)
    last_used_at: Mapped[datetime | None] = mapped_column(Timestamp)


_tokens = table_of(ApiTokenRow)


def add(tx: Connection, values: Mapping[str, object]) -> None:
    """Write a new token. Raises IntegrityError if one that is not revoked has its name."""
    tx.execute(insert(_tokens), dict(values))


def every(tx: Connection) -> list[RowMapping]:
    """List the tokens by name; of one name, the newest first."""
    query = select(_tokens).order_by(_tokens.c.name, _tokens.c.id.desc())
    return list(tx.execute(query).mappings())


def count(tx: Connection) -> int:
    """Count the tokens."""
    return tx.execute(select(func.count()).select_from(_tokens)).scalar_one()


def get(tx: Connection, token_id: str) -> RowMapping | None:
    """Find a token by its id; None when there is none."""
    return tx.execute(select(_tokens).where(_tokens.c.id == token_id)).mappings().first()


def by_hash(tx: Connection, hashed: str) -> RowMapping | None:
    """Find a token by its hash; None when there is none."""
    return tx.execute(select(_tokens).where(_tokens.c.hash == hashed)).mappings().first()


def revoke(tx: Connection, token_id: str, now: datetime) -> bool:
    """End a token; say whether this did it."""
    mine = (_tokens.c.id == token_id, _tokens.c.revoked_at.is_(None))
    return tx.execute(update(_tokens).where(*mine).values(revoked_at=now)).rowcount == 1


def note_use(tx: Connection, token_id: str, now: datetime, unless_since: datetime) -> None:
    """Store that a token was used, unless another process has done so since a time."""
    old = or_(_tokens.c.last_used_at.is_(None), _tokens.c.last_used_at < unless_since)
    mine = update(_tokens).where(_tokens.c.id == token_id, old)
    tx.execute(mine.values(last_used_at=now))


def forget(tx: Connection, before: datetime) -> None:
    """Delete tokens that ended before a time."""
    ended = or_(_tokens.c.revoked_at < before, _tokens.c.expires_at < before)
    tx.execute(delete(_tokens).where(ended))


def forget_oldest_ended(tx: Connection, now: datetime) -> bool:
    """Delete the oldest token that has ended; say whether there was one."""
    ended = or_(_tokens.c.revoked_at.is_not(None), _tokens.c.expires_at <= now)
    oldest = select(_tokens.c.id).where(ended).order_by(_tokens.c.id).limit(1).scalar_subquery()
    return tx.execute(delete(_tokens).where(_tokens.c.id == oldest)).rowcount == 1
