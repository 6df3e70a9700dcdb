"""Backups of SQLite: a copy of its file, made while servers use it."""

import sqlite3
from contextlib import closing
from pathlib import Path

from ...domain.errors import Invalid
from ..db.session import Database
from .errors import Failed


def _opened(file: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{file.absolute().as_uri()}?mode={mode}", uri=True)


def _copy(source: Path, target: Path, mode: str) -> None:
    """Copy all pages in one transaction of the source, which holds up no writer."""
    with closing(_opened(source, mode)) as read, closing(sqlite3.connect(target)) as written:
        read.backup(written)
        # one file, with no log beside it
        written.execute("PRAGMA journal_mode=DELETE").fetchall()


def save(source: Path, file: Path) -> None:
    """Write a copy into a new file. Raises Invalid when the source is damaged."""
    _copy(source, file, "rw")  # a log that a kill has left is read in
    _check(file, f"{source} is damaged")


def check(file: Path) -> str | None:
    """Read a whole file; return the schema's revision in it. Raises Invalid if it is damaged."""
    _check(file, f"{file} is damaged")
    with closing(_opened(file, "ro")) as read:
        try:
            found = read.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.OperationalError:
            return None
    return None if found is None else str(found[0])


def _check(file: Path, problem: str) -> None:
    try:
        with closing(_opened(file, "ro")) as read:
            found = [row[0] for row in read.execute("PRAGMA quick_check(5)")]
    except sqlite3.DatabaseError as error:
        found = [str(error)]
    if found != ["ok"]:
        raise Invalid(f"{problem}: {'; '.join(found)}")


def load(db: Database, file: Path) -> None:
    """Replace the whole database by a file's content, in one transaction. Raises Failed."""
    assert db.file is not None
    db.close()
    try:
        _copy(file, db.file, "ro")
    except sqlite3.Error as error:
        raise Failed(f"{db.file} cannot be written: {error}") from None
