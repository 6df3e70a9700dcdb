"""The migrations make exactly what the models say, on both databases."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from inngest_py.storage import migrate
from inngest_py.storage.models import Base
from inngest_py.storage.session import Database


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    if request.param == "sqlite":
        return Database(f"sqlite:///{tmp_path / 'test.db'}")
    return Database(request.getfixturevalue("postgres_url"))


def test_models_equal_migrations(empty: Database) -> None:
    assert migrate.current(empty) is None
    migrate.upgrade(empty)
    assert migrate.current(empty) == migrate.head()
    with empty.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    empty.close()


def test_an_upgrade_of_what_is_up_to_date_changes_nothing(empty: Database) -> None:
    migrate.prepare(empty)
    migrate.prepare(empty)
    assert migrate.current(empty) == migrate.head()
    empty.close()
