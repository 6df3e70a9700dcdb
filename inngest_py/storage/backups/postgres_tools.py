"""Backups of PostgreSQL by its own programs, pg_dump and pg_restore, where they are there."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from sqlalchemy import inspect, text

from ...domain.errors import Conflict, Invalid
from ..db.columns import Base
from ..db.session import Database
from ..schema import migrate, old_names
from . import targets
from .errors import Failed

_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")
_REVISION = re.compile(r"^(\d{4})$", re.MULTILINE)
_SERVER_VERSION = text("SHOW server_version_num")
_MOST_TOLD = 3  # lines of a program's error


def reason_against(db: Database) -> str | None:
    """Say why pg_dump cannot make a backup of the database; None when it can."""
    found = shutil.which("pg_dump")
    if found is None:
        return "pg_dump is not installed"
    version = _VERSION.search(_run(None, [found, "--version"]))
    with db.reading() as tx:
        server = int(tx.execute(_SERVER_VERSION).scalar_one()) // 10_000
    if version is None or int(version[1]) < server:
        known = "an unknown version" if version is None else f"version {version[1]}"
        return f"pg_dump is of {known}, and the server of {server}"
    return None


def save(db: Database, file: Path) -> None:
    """Write a backup in pg_dump's own form. Raises Failed."""
    ours = {*Base.metadata.tables, *old_names.NAMES, "alembic_version"}
    with db.reading() as tx:
        there = inspect(tx)
        names = sorted(ours & {*there.get_table_names(), *there.get_view_names()})
    tables = [f"--table={name}" for name in names]
    _run(db, ["pg_dump", "--format=custom", "--no-owner", "--no-acl", f"--file={file}", *tables])


def check(file: Path) -> str:
    """Read a whole file; return the schema's revision in it. Raises Invalid if it is damaged."""
    if shutil.which("pg_restore") is None:
        raise Conflict(f"{file} was made by pg_dump: install PostgreSQL's client, with pg_restore")
    try:
        _run(None, ["pg_restore", f"--file={os.devnull}", str(file)])
        shown = _run(
            None, ["pg_restore", "--data-only", "--table=alembic_version", "--file=-", str(file)]
        )
    except Failed as error:
        raise Invalid(f"{file} cannot be read: {error.message}") from None
    found = _REVISION.search(shown)
    if found is None:
        raise Invalid(f"{file} is a backup of another program: it has no schema of inngest-py")
    return found[1]


def load(db: Database, file: Path, revision: str) -> None:
    """Replace the database's tables by those of a file, which has the schema's revision.

    It is one transaction if the database has no schema, or that revision. Raises Failed.
    """
    if migrate.current(db) not in (None, revision):
        targets.clear(db)
    db.close()
    how = ["--clean", "--if-exists", "--no-owner", "--no-acl", "--single-transaction"]
    _run(db, ["pg_restore", *how, str(file)])


def _run(db: Database | None, command: list[str]) -> str:
    """Run a program; its connection gets the password by the environment, which nobody can list."""
    settings = dict(os.environ)
    if db is not None:
        url = db.url.set(drivername="postgresql", password=None)
        command = [*command, f"--dbname={url.render_as_string(hide_password=False)}"]
        if db.url.password is not None:
            settings["PGPASSWORD"] = str(db.url.password)
    done = subprocess.run(  # noqa: S603 - names of programs, files and our own tables
        command, env=settings, capture_output=True, text=True, check=False
    )
    if done.returncode:
        told = " ".join(done.stderr.strip().splitlines()[:_MOST_TOLD])
        raise Failed(f"{command[0]} has failed: {told or f'exit code {done.returncode}'}")
    return done.stdout
