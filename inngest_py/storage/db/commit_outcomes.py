"""Find out whether a transaction was committed when its COMMIT got no answer.

That happens with PostgreSQL alone: SQLite runs in this process and always answers.
"""

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from .dialects import is_sqlite
from .outages import NoAnswer
from .session import Database

_MARK = text("SELECT CAST(pg_current_xact_id_if_assigned() AS text)")
_STATUS = text("SELECT pg_xact_status(CAST(:mark AS xid8))")
_UNKNOWN_ID = "22023"  # invalid_parameter_value: no such id has been given out yet


def mark(tx: Connection) -> str | None:
    """Name this transaction, for was_committed(); None when it has written nothing."""
    if is_sqlite(tx):
        return None
    found: str | None = tx.execute(_MARK).scalar()
    return found


def was_committed(db: Database, named: str | None) -> bool:
    """Say whether a transaction that mark() named has been committed.

    Raises NoAnswer while the transaction is still in progress.
    """
    if named is None:
        return False
    try:
        with db.reading() as tx:
            status = tx.execute(_STATUS, {"mark": named}).scalar()
    except DBAPIError as error:
        if getattr(error.orig, "pgcode", None) != _UNKNOWN_ID:
            raise
        return False  # a standby has taken over, and never got the transaction
    if status == "in progress":
        raise NoAnswer("the database has not ended the transaction yet")
    return bool(status == "committed")
