"""Migrations, with Alembic.

Each migration is a transaction of its own. An index of a table that grows is built between two of
them, while others write (index_builds.py). A process that is killed leaves what it has committed,
and the next one continues there.

A server imports Alembic only when it has to migrate: the import takes a tenth of the time of a
start. An empty database gets the tables of the models directly. They are the same as those that the
migrations make (tests compare them).

Several versions may run on one schema, that of the newest. A migration that older versions cannot
work with says `breaks = True`, or `breaks = "sqlite"` if that holds for SQLite alone. The database
holds the number of the last such migration: an older version reads it there, since it does not know
the migration itself.
"""

import re
import time
from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from ... import observe
from ...domain.errors import Conflict
from ..db import meta
from ..db.dialects import lock_out, pick
from ..db.outages import Fault, Reasons, fault, outage, reason
from ..db.session import Database, lift_time_limits, limit_locks
from . import foreign_tables, index_builds, old_names
from .tables import Base

_FOLDER = Path(__file__).parent / "migrations"
_LOCK = 0x1A7E57  # PostgreSQL's advisory lock: one migration at a time
# While a migration waits for a table's lock, all later statements on the table wait, readers too.
# So it waits for less than their limit of 5 s, and then pauses.
_LOCK_SECONDS, _LOCK_DELAY = 3.0, 2.0
_BREAKS = re.compile("^breaks = True$", re.MULTILINE)
_BREAKS_ON_SQLITE = re.compile('^breaks = (True|"sqlite")$', re.MULTILINE)
_OLDEST = "schema_oldest"  # the oldest head that can work with the schema, as a number


def _revisions() -> list[str]:
    """Return the revisions that this version knows, in order."""
    return sorted(file.name[:4] for file in (_FOLDER / "versions").glob("[0-9]*.py"))


def head() -> str:
    """Return this version's newest revision."""
    return _revisions()[-1]


def _oldest(connection: Connection, revision: str) -> int:
    """Return the oldest head that can work with the schema of a revision, as a number."""
    breaks = pick(connection, sqlite=_BREAKS_ON_SQLITE, postgres=_BREAKS)
    files = (_FOLDER / "versions").glob("[0-9]*.py")
    breaking = (file.name[:4] for file in files if breaks.search(file.read_text()))
    return max((int(number) for number in breaking if number <= revision), default=0)


def current(db: Database) -> str | None:
    """Return the database's revision; None when it has no schema."""
    with db.reading() as connection:
        return revision_of(connection)


def revision_of(connection: Connection) -> str | None:
    """Return the revision that a connection sees; None when the database has no schema."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def is_newer(at: str | None) -> bool:
    """Say whether a revision is of a newer version."""
    return at is not None and foreign_tables.REVISION.fullmatch(at) is not None and at > head()


def refuse_newer(db: Database) -> bool:
    """Say whether a newer version made the schema; raises Conflict if this one cannot use it."""
    with db.reading() as connection:
        at = revision_of(connection)
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
    """Say why a worker cannot use the schema yet; None when it can.

    Raises Conflict as refuse_newer() does, and DBAPIError.
    """
    at, mine = current(db), head()
    if at == mine or refuse_newer(db):
        return None
    found = "there is no schema yet" if at is None else f"the schema is at {at}"
    return f"{found}, and {mine} is needed: start a server, or run inngest-py db upgrade"


def make(db: Database, revision: str) -> None:
    """Make the schema of a revision in a database without one. Raises as upgrade() does."""
    if revision != head() or not _create(db):
        upgrade(db, revision)


def upgrade(db: Database, to: str | None = None) -> None:
    """Bring the schema to head, each migration under a lock, so that one process runs it.

    `to` is an older revision to end at. A newer schema stays. Raises Conflict when it cannot be
    used, or is another program's. On PostgreSQL it waits for the locks of others for _LOCK_SECONDS,
    then rolls back and tries again, as often as it takes.
    """
    logged = False
    while not refuse_newer(db):
        try:
            while _migrate_once(db, to or head()):
                pass
            return
        except DBAPIError as error:
            if not db.locks_rows or fault(error) is not Fault.BUSY:
                raise
            if not logged:
                observe.event("database.wait", level=30, error=reason(error))
                logged = True
            time.sleep(_LOCK_DELAY)


def _migrate_once(db: Database, to: str) -> bool:
    """Run the next migration, `to` being the last; say whether there was one.

    It may build the index that the migration needs instead.
    """
    try:
        with db.transaction() as connection:
            _lock(connection)
            limit_locks(connection, _LOCK_SECONDS)
            foreign_tables.refuse(connection)
            at = revision_of(connection) or ""
            following = [revision for revision in _revisions() if at < revision <= to]
            if following:
                _run(connection, following[0])
    except index_builds.IndexMissing as missing:
        index_builds.build(db, missing.index)
    return bool(following)


def _run(connection: Connection, revision: str) -> None:
    # a tenth of a server's start, and rarely needed
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
    meta.put(connection, _OLDEST, _oldest(connection, revision))


def _lock(connection: Connection) -> None:
    lift_time_limits(connection)
    lock_out(connection, _LOCK)


def _create(db: Database) -> bool:
    """Make all tables in a database without any; say whether it had none."""
    with db.transaction() as connection:
        _lock(connection)
        if inspect(connection).get_table_names():
            return False
        Base.metadata.create_all(connection)
        old_names.add_views(connection)
        # as Alembic makes it
        connection.execute(
            text(
                "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL,"
                " CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
            )
        )
        made = text("INSERT INTO alembic_version (version_num) VALUES (:head)")
        connection.execute(made, {"head": head()})
        meta.put(connection, _OLDEST, _oldest(connection, head()))
    return True


def prepare(db: Database) -> None:
    """Make the schema ready at a server's start, waiting for a database that is away.

    Raises Conflict when the schema is of a newer version and this one cannot use it, or when it is
    another program's.
    """
    db.make_folder()
    delay, reasons = 0.2, Reasons()
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
            time.sleep(delay)
            delay = min(delay * 2, 5.0)
