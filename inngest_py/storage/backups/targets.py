"""The database that a backup is restored into: whether it may be, and how it is cleared."""

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection, inspect, literal, select, text

from ...domain.errors import Conflict
from ..db.columns import Base
from ..db.dialects import other_processes
from ..db.session import Database, lift_time_limits
from ..schema import foreign_tables, old_names
from . import shapes

# tables of which a server that has just been started for the first time has rows
_OF_ANY_START = {"meta", "workers", "gateways", "connections"}
_FIX = "stop all servers and workers first"


def refuse(db: Database, *, replace: bool) -> None:
    """Raise Conflict if the database is in use, or another program's, or has rows to be kept."""
    if db.file is not None:
        _refuse_open(db, db.file)
    with db.reading() as tx:
        foreign_tables.refuse(tx)
        if others := other_processes(tx):
            raise Conflict(f"{others} connections of inngest-py use the database: {_FIX}")
        filled = _filled(tx)
    if filled and not replace:
        raise Conflict(
            f"the database is not empty: it has rows in {', '.join(filled)}. Give --replace to"
            " delete all that it has, or another database"
        )


def _refuse_open(db: Database, file: Path) -> None:
    """Raise Conflict if another process has SQLite's file open.

    SQLite gives its log up only for the one process that is left.
    """
    db.close()
    if not file.exists():
        return
    with closing(sqlite3.connect(file, timeout=0.0, isolation_level=None)) as alone:
        try:
            alone.execute("PRAGMA journal_mode=DELETE").fetchall()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            raise Conflict(f"another process uses {file}: {_FIX}") from None


def _filled(tx: Connection) -> list[str]:
    """List the tables with rows that only an installation in use has."""
    there = set(inspect(tx).get_table_names())
    asked = [table for table in shapes.ordered() if table.name in there - _OF_ANY_START]
    return sorted(
        table.name
        for table in asked
        if tx.execute(select(literal(1)).select_from(table).limit(1)).first() is not None
    )


def clear(db: Database) -> None:
    """Drop all tables of this program, of whatever version."""
    with db.transaction() as tx:
        lift_time_limits(tx)
        found = inspect(tx)
        for view in {*found.get_view_names()} & old_names.NAMES:
            tx.execute(text(f"DROP VIEW {view}"))
        for table in {*found.get_table_names()} & {*old_names.NAMES, "alembic_version"}:
            tx.execute(text(f"DROP TABLE {table}"))
        Base.metadata.drop_all(tx)
