"""The migrations make exactly what the models say, on both databases."""

from collections.abc import Callable
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from inngest_py.storage import migrate
from inngest_py.storage.models import Base
from inngest_py.storage.session import Database


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    if request.param == "sqlite":
        return Database(f"sqlite:///{tmp_path / 'test.db'}")
    return Database(request.getfixturevalue("postgres_url"))


@pytest.mark.parametrize("make", [migrate.upgrade, migrate.prepare])
def test_models_equal_migrations(empty: Database, make: Callable[[Database], None]) -> None:
    """A server makes the tables of the models at once where there are none."""
    assert migrate.current(empty) is None
    make(empty)
    assert migrate.current(empty) == migrate.head()
    with empty.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
        if not empty.is_sqlite:
            assert _table_options(connection) == [("runs", ["fillfactor=80"])]
    empty.close()


def _table_options(connection: Connection) -> list[tuple[str, list[str]]]:
    """What Alembic does not compare."""
    found = connection.execute(
        text(
            "SELECT relname, reloptions FROM pg_class WHERE relkind = 'r'"
            " AND reloptions IS NOT NULL AND relnamespace = 'public'::regnamespace"
        )
    )
    return [(name, options) for name, options in found]


def test_an_upgrade_of_what_is_up_to_date_changes_nothing(empty: Database) -> None:
    migrate.prepare(empty)
    migrate.prepare(empty)
    assert migrate.current(empty) == migrate.head()
    empty.close()


def test_the_head_is_alembic_s() -> None:
    folder = Path(migrate.__file__).parent / "migrations"
    config = Config()
    config.set_main_option("script_location", str(folder))
    assert migrate.head() == ScriptDirectory.from_config(config).get_current_head()


def test_an_old_schema_is_migrated(empty: Database) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    with empty.transaction() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    migrate.prepare(empty)
    assert migrate.current(empty) == migrate.head()
    empty.close()
