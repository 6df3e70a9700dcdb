"""Migrations: Alembic, driven by the package's own settings.

A server imports Alembic only when there is something to migrate: it costs a start a tenth of its
time. An empty database gets the tables of the models at once, which are what the migrations make
(tests compare them).

Versions run side by side on one schema, the newest one's. A migration that older versions cannot
work with says `breaks = True`; the last of these that a database has had is noted in it, where an
older version, which does not know that migration, can read it.
"""

import re
import time
from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from ... import observe
from ...domain.errors import Conflict
from ..db import meta
from ..db.dialects import lock_out
from ..db.outages import Fault, Reasons, fault, outage, reason
from ..db.session import Database, limit_locks, take_your_time
from . import strangers
from .tables import Base

_FOLDER = Path(__file__).parent / "migrations"
_LOCK = 0x1A7E57  # one upgrade at a time, whoever starts first
# A migration that waits for a table holds up all who come after it, readers too: less than their
# own limit of 5 s, and not at all for a while then.
_LOCK_SECONDS, _LOCK_PAUSE = 3.0, 2.0
_BREAKS = re.compile("^breaks = True$", re.MULTILINE)
_OLDEST = "schema_oldest"  # the oldest head that can work with the schema, as a number
_NAMES = re.compile(r'^(revision|down_revision) = "(.+)"$', re.MULTILINE)


def head() -> str:
    """Name the newest revision of this version: the one that no other follows."""
    named: dict[str, set[str]] = {"revision": set(), "down_revision": set()}
    for file in (_FOLDER / "versions").glob("[0-9]*.py"):
        for role, name in _NAMES.findall(file.read_text()):
            named[role].add(name)
    [newest] = named["revision"] - named["down_revision"]
    return newest


def _oldest() -> int:
    """Say which is the oldest head that can work with the newest schema."""
    files = (_FOLDER / "versions").glob("[0-9]*.py")
    breaking = [int(file.name[:4]) for file in files if _BREAKS.search(file.read_text())]
    return max(breaking, default=0)


def current(db: Database) -> str | None:
    """Name the database's revision; None when it has no schema."""
    with db.reading() as connection:
        return _current(connection)


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def is_newer(at: str | None) -> bool:
    """Say whether a newer version has made the schema."""
    return at is not None and strangers.REVISION.fullmatch(at) is not None and at > head()


def refuse_newer(db: Database) -> bool:
    """Say whether the schema is a newer version's; raises Conflict when this one cannot use it."""
    with db.reading() as connection:
        at = _current(connection)
        if not is_newer(at):
            return False
        oldest = meta.value(connection, _OLDEST)
    mine = head()
    if oldest is None or oldest > int(mine):
        raise Conflict(
            f"the schema is at {at}, of a newer version, and this version, which knows it up to"
            f" {mine}, cannot use it: install the newer version here, too"
        )
    return True


def unready(db: Database) -> str | None:
    """Say what a worker has to wait for before it can use the schema; None when it can.

    Raises Conflict as refuse_newer() does, and DBAPIError.
    """
    at, mine = current(db), head()
    if at == mine or refuse_newer(db):
        return None
    told = "there is no schema yet" if at is None else f"the schema is at {at}"
    return f"{told}, and {mine} is needed: start a server, or run inngest-py db upgrade"


def upgrade(db: Database) -> None:
    """Bring the schema to head, under a lock against others that do the same.

    A newer schema stays. Raises Conflict when it cannot be used, or is another program's.
    Behind PostgreSQL's locks of others it waits for moments at a time, as often as it takes: what
    it has changed by then is rolled back.
    """
    told = False
    while not refuse_newer(db):
        try:
            _upgrade(db)
            return
        except DBAPIError as error:
            if not db.locks_rows or fault(error) is not Fault.BUSY:
                raise
            if not told:
                observe.event("database.wait", level=30, error=reason(error))
                told = True
            time.sleep(_LOCK_PAUSE)


def _upgrade(db: Database) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    with db.transaction() as connection:
        _lock(connection)
        limit_locks(connection, _LOCK_SECONDS)
        strangers.refuse(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        meta.put(connection, _OLDEST, _oldest())


def _lock(connection: Connection) -> None:
    take_your_time(connection)
    lock_out(connection, _LOCK)


def _create(db: Database) -> bool:
    """Make all tables in a database that has none; say whether it had none."""
    with db.transaction() as connection:
        _lock(connection)
        if inspect(connection).get_table_names():
            return False
        Base.metadata.create_all(connection)
        # as Alembic makes it
        connection.execute(
            text(
                "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL,"
                " CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
            )
        )
        made = text("INSERT INTO alembic_version (version_num) VALUES (:head)")
        connection.execute(made, {"head": head()})
        meta.put(connection, _OLDEST, _oldest())
    return True


def prepare(db: Database) -> None:
    """Make the schema ready at a server's start, waiting for a database that is away.

    Raises Conflict when the schema is a newer version's that this one cannot use, or another
    program's.
    """
    db.make_folder()
    pause, reasons = 0.2, Reasons()
    while True:
        try:
            at = current(db)
            if at != head() and not _create(db):
                upgrade(db)
            if is_newer(at):
                observe.event("schema.newer", at=at, known=head())
            return
        except SQLAlchemyError as error:
            if not outage(error):
                raise
            if reasons.is_new(why := reason(error)):
                observe.event("database.wait", level=30, error=why)
            time.sleep(pause)
            pause = min(pause * 2, 5.0)
