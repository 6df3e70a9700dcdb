"""The migrations make exactly what the models say, on both databases."""

import ast
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from click.testing import CliRunner
from sqlalchemy import Connection, Engine, event, text

from inngest_py.cli import cli
from inngest_py.domain.errors import Conflict
from inngest_py.storage.db.session import Database
from inngest_py.storage.schema import migrate
from inngest_py.storage.schema.tables import Base
from inngest_py.tasks.worker.steps import wait_for_schema
from tests.processes import wait_until

VERSIONS = sorted((migrate._FOLDER / "versions").glob("[0-9]*.py"))
# the tables with rows for each event, run, step or request
GROWING = {
    *(
        "attempts",
        "batch_events",
        "debounces",
        "defers",
        "events",
        "queue_items",
        "run_keys",
    ),
    *("run_metadata", "runs", "steps", "waits"),
}
_BUILDS = re.compile(
    r"\s*CREATE (UNIQUE )?INDEX (?P<concurrently>CONCURRENTLY )?(IF NOT EXISTS )?\S+"
    r" ON (ONLY )?(?P<table>\w+)"
)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    if request.param == "sqlite":
        return Database(f"sqlite:///{tmp_path / 'test.db'}")
    return Database(request.getfixturevalue("postgres_url"))


@pytest.mark.parametrize("make", [migrate.upgrade, migrate.prepare])
def test_models_equal_migrations(empty: Database, make: Callable[[Database], None]) -> None:
    """A server makes the models' tables directly in an empty database."""
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
    """List the options of tables, which Alembic does not compare."""
    found = connection.execute(
        text(
            "SELECT relname, reloptions FROM pg_class WHERE relkind = 'r'"
            " AND reloptions IS NOT NULL AND relnamespace = 'public'::regnamespace"
        )
    )
    return [(name, options) for name, options in found]


def test_preparing_a_current_schema_changes_nothing(empty: Database) -> None:
    migrate.prepare(empty)
    migrate.prepare(empty)
    assert migrate.current(empty) == migrate.head()
    empty.close()


def test_revisions_are_those_that_alembic_finds() -> None:
    folder = Path(migrate.__file__).parent / "migrations"
    config = Config()
    config.set_main_option("script_location", str(folder))
    script = ScriptDirectory.from_config(config)
    assert migrate.head() == script.get_current_head()
    assert migrate._revisions() == [found.revision for found in script.walk_revisions()][::-1]


def test_an_old_schema_is_migrated(empty: Database) -> None:
    at(empty, "0001")
    migrate.prepare(empty)
    assert migrate.current(empty) == migrate.head()
    empty.close()


NEWER = """
revision = "9999"
down_revision = "{head}"
branch_labels = None
depends_on = None
breaks = {breaks}


def upgrade() -> None:
    pass
"""


@pytest.fixture(params=[False, True], ids=["compatible", "breaking"])
def newer(
    request: pytest.FixtureRequest, empty: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> bool:
    """Migrate the database as a newer version does; say whether that breaks older ones."""
    folder = tmp_path / "migrations"
    shutil.copytree(migrate._FOLDER, folder)
    written = NEWER.format(head=migrate.head(), breaks=request.param)
    (folder / "versions" / "9999_be_newer.py").write_text(written)
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "_FOLDER", folder)
        migrate.prepare(empty)
        migrate.upgrade(empty)
        assert migrate.current(empty) == "9999"
    return bool(request.param)


def test_newer_schema_is_used_unless_it_breaks_older_versions(empty: Database, newer: bool) -> None:
    head = migrate.head()
    if newer:
        for use in (migrate.prepare, migrate.upgrade, migrate.unready):
            with pytest.raises(Conflict, match=f"at 9999, of a newer .* up to {head}, cannot"):
                use(empty)
    else:
        migrate.prepare(empty)
        migrate.upgrade(empty)
        assert migrate.unready(empty) is None
    assert migrate.current(empty) == "9999", "the schema stays"
    empty.close()


def test_commands_report_a_newer_schema(empty: Database, newer: bool) -> None:
    where = ("--database-url", empty.url.render_as_string(hide_password=False))
    head = migrate.head()
    upgraded, checked = (
        CliRunner().invoke(cli, [*command, *where])
        for command in (("db", "upgrade"), ("check", "--dev"))
    )
    if newer:
        expected = (
            "the schema is at 9999, of a newer version, and this version, which knows it up to"
            f" {head}, cannot use it"
        )
        assert upgraded.exit_code == checked.exit_code == 1
    else:
        expected = f"the schema is at 9999, newer than this version's {head}, which can use it"
        assert upgraded.exit_code == checked.exit_code == 0
    assert expected in upgraded.output
    assert expected in checked.output
    empty.close()


def test_check_reports_an_older_schema(empty: Database) -> None:
    at(empty, "0001")
    where = ("--database-url", empty.url.render_as_string(hide_password=False))
    checked = CliRunner().invoke(cli, ["check", "--dev", *where])
    assert f"the schema is at 0001, older than {migrate.head()}" in checked.output
    assert checked.exit_code == 1
    assert "is needed: start a server" in (migrate.unready(empty) or "")
    empty.close()


def test_worker_exits_when_it_cannot_use_the_schema(
    empty: Database, newer: bool, caplog: pytest.LogCaptureFixture
) -> None:
    ctx: Any = SimpleNamespace(db=empty)
    if newer:
        with pytest.raises(SystemExit):
            wait_for_schema(ctx)
        assert "schema.refused" in caplog.messages
    else:
        wait_for_schema(ctx)
    empty.close()


@pytest.mark.parametrize("file", VERSIONS, ids=lambda file: file.stem)
def test_each_migration_says_whether_it_goes_before_or_after_the_code(file: Path) -> None:
    told = " ".join((ast.get_docstring(ast.parse(file.read_text())) or "").split())
    assert re.search(r"\b(goes|go) (before|after|before or after) the code\b", told, re.IGNORECASE)


@contextmanager
def _statements(note: Callable[[Connection, str], None]) -> Iterator[None]:
    """Show all statements of all connections to a function, before they are sent."""

    def see(connection: Connection, _cursor: Any, statement: str, *_rest: Any) -> None:
        note(connection, statement)

    event.listen(Engine, "before_cursor_execute", see)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", see)


def test_an_upgrade_keeps_no_writers_waiting_for_an_index(postgres_url: str) -> None:
    db = Database(postgres_url)
    at(db, "0024")
    built: list[tuple[str, bool]] = []

    def note(_connection: Connection, statement: str) -> None:
        if found := _BUILDS.match(statement):
            built.append((found["table"], found["concurrently"] is not None))

    with _statements(note):
        migrate.upgrade(db)
    db.close()
    assert ("debounces", True) in built, "the test sees what is built"
    assert not GROWING.intersection(table for table, concurrently in built if not concurrently)


def test_each_migration_has_a_lock_timeout_of_its_own(postgres_url: str) -> None:
    db = Database(postgres_url)
    limits: list[str] = []

    def note(connection: Connection, statement: str) -> None:
        if statement.startswith(("UPDATE alembic_version", "INSERT INTO alembic_version")):
            limits.append(connection.exec_driver_sql("SHOW lock_timeout").scalar_one())

    with _statements(note):
        migrate.upgrade(db)
    db.close()
    assert limits == [f"{migrate._LOCK_SECONDS:.0f}s"] * len(VERSIONS)


def test_a_migration_that_waits_for_a_table_holds_nobody_up_for_long(postgres_url: str) -> None:
    """A dump, say, reads the table for hours; who comes behind a waiting ALTER waits as well."""
    db = Database(postgres_url)
    at(db, "0023")
    upgrading = threading.Thread(target=migrate.upgrade, args=(db,), daemon=True)
    with db.engine.connect() as dump:
        dump.execute(text("SELECT 1; LOCK TABLE queue_items IN ACCESS SHARE MODE"))
        upgrading.start()
        wait_until(lambda: _one(db, ALTERS), 60, "the migration waits")
        assert _one(db, "SELECT count(*) FROM queue_items") == 0, "the reader waits only briefly"
        assert _one(db, "SELECT count(*) FROM apps") == 0
        assert migrate.current(db) == "0023"
    upgrading.join(60)
    assert migrate.current(db) == migrate.head()
    db.close()


ALTERS = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE query LIKE '%ALTER TABLE queue_items%' AND wait_event_type = 'Lock'"
)


def _one(db: Database, query: str) -> Any:
    with db.reading() as tx:
        return tx.execute(text(query)).scalar_one()


def at(db: Database, revision: str) -> None:
    """Bring the schema to a revision."""
    alembic(db, lambda config: command.upgrade(config, revision))


def alembic(db: Database, act: Callable[[Config], None]) -> None:
    """Have Alembic do something with the database."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    with db.transaction() as connection:
        config.attributes["connection"] = connection
        act(config)
