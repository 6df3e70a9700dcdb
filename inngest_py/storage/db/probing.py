"""Probing: whether the database takes writes now."""

import secrets

from sqlalchemy import delete, insert
from sqlalchemy.exc import SQLAlchemyError

from .columns import table_of
from .meta import Meta
from .session import Database

_meta = table_of(Meta)
# a SQLite file on a full disk still takes rows that fit its free pages: this row needs new pages
_SQLITE_CHARS = 16_384


def probe(db: Database) -> None:
    """Write a row to the disk and delete it again.

    Raises SQLAlchemyError when writes fail now.
    """
    key = f"probe-{secrets.token_hex(8)}"
    if db.is_sqlite:
        key += "-" * _SQLITE_CHARS
    with db.transaction() as tx:
        tx.execute(insert(_meta).values(key=key, value=0))
        tx.execute(delete(_meta).where(_meta.c.key == key))


def writable(db: Database) -> bool:
    """Say whether the database takes a write."""
    try:
        probe(db)
    except SQLAlchemyError:
        return False
    return True
