"""Backups of a whole installation, made while it works, and brought back."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from sqlalchemy import Table, func, select

from ...domain.errors import Conflict, Invalid
from ...domain.runs.runs import LIVE
from ..catalog.functions import FunctionRow
from ..db.columns import table_of
from ..db.session import Database
from ..events.events import EventRow
from ..runs.runs import RunRow
from ..schema import migrate
from . import portable, postgres_tools, sqlite_files, targets
from .errors import Failed

_runs = table_of(RunRow)


class Form(StrEnum):
    """What kind of file a backup is."""

    ROWS = "rows"
    SQLITE = "sqlite"
    PG_DUMP = "pg_dump"


_BEGINNINGS = {b"PK\x03\x04": Form.ROWS, b"SQLite format 3\0": Form.SQLITE, b"PGDMP": Form.PG_DUMP}


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that was made; `why` says why pg_dump did not make it, None when it was not to."""

    form: Form
    bytes: int
    why: str | None


def save(db: Database, file: Path, at: datetime, *, as_rows: bool = False) -> Made:
    """Back the database up into a new file, which only its owner can read.

    With `as_rows` it is of our own form, for either database. Raises Conflict when the file exists,
    or the schema is not this version's and it has to be of our own form. Raises Failed.
    """
    if migrate.current(db) is None:
        raise Conflict("the database has no schema of inngest-py: there is nothing to back up")
    why = None
    with _new(file) as written:
        if db.file is not None and not as_rows:
            form = Form.SQLITE
            sqlite_files.save(db.file, written)
        elif as_rows or (why := postgres_tools.reason_against(db)) is not None:
            form = Form.ROWS
            portable.save(db, written, at)
        else:
            form = Form.PG_DUMP
            postgres_tools.save(db, written)
    return Made(form, file.stat().st_size, why)


@contextmanager
def _new(file: Path) -> Iterator[Path]:
    """Give a file beside the wanted one, which takes its name once it is whole and on the disk."""
    if file.exists():
        raise Conflict(f"{file} exists: give a backup a name of its own")
    part = file.with_name(f"{file.name}.part")
    try:
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        yield part
        with part.open("rb") as whole:
            os.fsync(whole.fileno())
        part.rename(file)
    except (OSError, sqlite3.Error) as error:
        raise Failed(f"{file} cannot be written: {error}") from None
    finally:
        part.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Restored:
    """What was brought back: the schema's revision in the backup and now, and numbers of rows."""

    form: Form
    revision: str
    now_at: str | None
    functions: int
    events: int
    runs: int
    live: int  # of the runs, those that have not ended


def restore(db: Database, file: Path, *, replace: bool = False) -> Restored:
    """Bring a backup back, and its schema up to date.

    Raises Invalid when the file is damaged or no backup, Conflict when it does not fit the
    database, when the database is in use, or when it is not empty and `replace` is off. Then
    nothing was changed. Raises Failed when it cannot be written.
    """
    form = _form(file)
    _refuse_other(db, form, file)
    revision = _checked(form, file)
    if migrate.is_newer(revision):
        raise Conflict(
            f"{file} has the schema {revision}, of a newer version than this one, which knows it up"
            f" to {migrate.head()}: restore it with that version"
        )
    db.make_folder()
    targets.refuse(db, replace=replace)
    if form is Form.SQLITE:
        sqlite_files.load(db, file)
    elif form is Form.PG_DUMP:
        postgres_tools.load(db, file, revision)
    else:
        portable.load(db, file)
    migrate.upgrade(db)
    return _restored(db, form, revision)


def _form(file: Path) -> Form:
    with file.open("rb") as opened:
        begin = opened.read(16)
    for beginning, form in _BEGINNINGS.items():
        if begin.startswith(beginning):
            return form
    raise Invalid(f"{file} is no backup: it begins like none")


def _checked(form: Form, file: Path) -> str:
    if form is Form.ROWS:
        return portable.check(file)
    if form is Form.PG_DUMP:
        return postgres_tools.check(file)
    found = sqlite_files.check(file)
    if found is None:
        raise Invalid(f"{file} is a database of another program: it has no schema of inngest-py")
    return found


def _refuse_other(db: Database, form: Form, file: Path) -> None:
    if db.file is not None and db.file.exists() and db.file.samefile(file):
        raise Conflict(f"{file} is the database itself")
    if form is not Form.ROWS and db.is_sqlite != (form is Form.SQLITE):
        made_by, other = (
            ("SQLite", "a SQLite file (--db)")
            if form is Form.SQLITE
            else ("pg_dump", "a PostgreSQL database")
        )
        raise Conflict(
            f"{file} was made by {made_by}: restore it into {other}. A backup that was made with"
            " --portable can be restored into either"
        )


def _restored(db: Database, form: Form, revision: str) -> Restored:
    def count(table: Table) -> int:
        return int(tx.execute(select(func.count()).select_from(table)).scalar_one())

    live = select(func.count()).where(_runs.c.status.in_([status.value for status in LIVE]))
    with db.reading() as tx:
        return Restored(
            form=form,
            revision=revision,
            now_at=migrate.revision_of(tx),
            functions=count(table_of(FunctionRow)),
            events=count(table_of(EventRow)),
            runs=count(_runs),
            live=int(tx.execute(live).scalar_one()),
        )
