"""Migrations: Alembic, driven by the package's own settings."""

import time
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from .. import observe
from .session import Database, outage

_FOLDER = Path(__file__).parent / "migrations"
_LOCK = 0x1A7E57  # one upgrade at a time, whoever starts first


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    return config


def head() -> str:
    """Name the newest revision of this version."""
    found = ScriptDirectory.from_config(_config()).get_current_head()
    assert found is not None
    return found


def current(db: Database) -> str | None:
    """Name the database's revision; None when it has no schema."""
    with db.reading() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def upgrade(db: Database) -> None:
    """Bring the schema to head, under a lock against others that do the same."""
    config = _config()
    with db.transaction() as connection:
        if not db.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def prepare(db: Database) -> None:
    """Make the schema ready at a server's start, waiting for a database that is away."""
    if db.is_sqlite and db.url.database:
        Path(db.url.database).parent.mkdir(parents=True, exist_ok=True)
    pause, told = 0.2, False
    while True:
        try:
            if current(db) != head():
                upgrade(db)
            return
        except DBAPIError as error:
            if not outage(error):
                raise
            if not told:
                observe.event("database.wait", level=30, error=type(error.orig).__name__)
                told = True
            time.sleep(pause)
            pause = min(pause * 2, 5.0)
