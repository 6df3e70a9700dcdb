"""An upgrade builds an index of a big table: writers continue, kills and crowds do no harm."""

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from inngest_py.storage.db.server_limits import ServerLimits
from inngest_py.storage.db.session import Database
from inngest_py.storage.schema import migrate
from tests.pooler import pooled
from tests.processes import LOOPBACK, Process, wait_until
from tests.servers import Postgres

from .test_migrations import at

MIGRATION = """
from alembic import op

from inngest_py.storage.schema.index_builds import build_index

revision = "9999"
down_revision = "{head}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    build_index(op.get_bind(), "events_big_idx", "events", "{columns}", unique={unique})
"""
HOLDS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('events_big_idx')"
OID = "SELECT to_regclass('events_big_idx')::oid"
BUILDER = (
    "SELECT max(pid) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONC%events_big%'"
    " AND state = 'active' AND wait_event_type = 'Lock' AND datname = current_database()"
)
DROPS = BUILDER.replace("CREATE INDEX CONC", "DROP INDEX CONC")
LASTS = (
    "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONC%events_big%'"
    " AND state = 'active' AND now() - query_start > interval '1.5 s'"
)
EVENTS = (
    "INSERT INTO events (id, external_id, name, payload, ts, received_at, internal)"
    " SELECT '{name}' || n, '', '{name}', '{{}}', now(), now(), false"
    " FROM generate_series(1, {count}) n"
)


@pytest.fixture
def db(postgres_url: str) -> Iterator[Database]:
    """A database whose schema is some migrations old, with a big table."""
    forever = ServerLimits(statement=0, lock=0)  # as a dump has
    with closing(Database(postgres_url, limits=forever)) as made:
        at(made, "0022")
        _write(made, EVENTS.format(name="old", count=100_000))
        yield made


@pytest.fixture
def start(postgres_url: str, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Start processes that migrate to 9999, which indexes the big table."""
    folder = migrations(tmp_path)
    with ExitStack() as started:

        def begin(name: str = "upgrade", url: str = postgres_url) -> Process:
            argv = [sys.executable, "-m", "tests.storage.upgrading", url, str(folder)]
            return started.enter_context(Process(argv, tmp_path / f"{name}.log")).start()

        yield begin


def migrations(tmp_path: Path, columns: str = "name", unique: bool = False) -> Path:
    folder = tmp_path / "migrations"
    shutil.copytree(migrate._FOLDER, folder, dirs_exist_ok=True)
    written = MIGRATION.format(head=migrate.head(), columns=columns, unique=unique)
    (folder / "versions" / "9999_index_a_big_table.py").write_text(written)
    return folder


@contextmanager
def writing(db: Database) -> Iterator[Connection]:
    """Write an event in a transaction that stays open: a build has to wait for its end."""
    with db.engine.begin() as tx:
        tx.execute(text(EVENTS.format(name="open", count=1)))
        yield tx


def _write(db: Database, statement: str) -> None:
    with db.transaction() as tx:
        tx.execute(text(statement))


def _one(db: Database, query: str) -> Any:
    with db.reading() as tx:
        return tx.execute(text(query)).scalar()


def _building(db: Database, process: Process) -> int:
    """Wait until the build waits for the open transaction; return its server process."""
    process.wait_ready(lambda: _one(db, BUILDER) is not None, 60)
    return int(_one(db, BUILDER))


def asked(process: Process, what: str = "for the lock of builds") -> int:
    return process.log.read_text().count(f"asks {what}")


def _ended_well(process: Process) -> bool:
    wait_until(lambda: not process.running, 60, "the end of the upgrade")
    return process.returncode == 0 or pytest.fail(process.log_tail())


def test_writers_continue_while_a_big_table_is_indexed(
    db: Database, start: Callable[..., Process]
) -> None:
    with writing(db):
        process = start()
        _building(db, process)
        _write(db, "SET LOCAL lock_timeout = '2s';" + EVENTS.format(name="new", count=10))
        assert migrate.current(db) == migrate.head(), "what came before is committed"
        migrate.upgrade(db)  # a process of the older version starts, and waits for nothing
        wait_until(lambda: _one(db, LASTS), 60, "the build outlasts all limits of statements")
        assert process.running
    assert _ended_well(process)
    assert (migrate.current(db), _one(db, VALID)) == ("9999", True)
    with db.reading() as tx:
        tx.execute(text("SET enable_seqscan = off"))
        found = tx.execute(text("SELECT count(*) FROM events WHERE name = 'new'")).scalar()
    assert found == 10


@pytest.mark.parametrize("server_too", [False, True], ids=["client alone", "and its server"])
def test_killed_build_is_finished_by_the_next_start(
    db: Database, start: Callable[..., Process], server_too: bool
) -> None:
    """The server process of a killed client builds on; when it ends too, its index is invalid."""
    with writing(db):
        killed = start("killed")
        builder = _building(db, killed)
        killed.kill9()
        if server_too:
            wait_until(lambda: _one(db, f"SELECT pg_terminate_backend({builder})"), 20)
            wait_until(lambda: _one(db, BUILDER) is None, 60, "the build is cut off")
        assert (migrate.current(db), _one(db, VALID)) == (migrate.head(), False)
        before = _one(db, OID)
        second = start("second")
        if server_too:
            second.wait_ready(lambda: _one(db, DROPS) is not None, 60)
        else:
            second.wait_ready(lambda: asked(second, "whether another builds") > 2, 60)
        _write(db, "SET LOCAL lock_timeout = '2s';" + EVENTS.format(name="new", count=10))
    assert _ended_well(second)
    assert (migrate.current(db), _one(db, VALID)) == ("9999", True)
    assert (_one(db, OID) != before) is server_too, "an invalid index is built again, a valid kept"
    assert ("schema.index_built" in second.log.read_text()) is server_too
    assert "database.wait" not in second.log.read_text(), "no deadlock of the two"


def test_of_processes_that_start_together_one_builds(
    db: Database, start: Callable[..., Process]
) -> None:
    """Those that wait hold no snapshot, for which the build would wait in turn."""
    with writing(db):
        processes = [start(str(number)) for number in range(3)]

        wait_until(lambda: _one(db, BUILDER), 90, "one builds")
        before = [asked(process) for process in processes]

        def others_wait() -> bool:
            more = [asked(process) - n for process, n in zip(processes, before, strict=True)]
            return sorted(more)[1] >= 2

        wait_until(others_wait, 90, "two processes ask again and again")
    assert all(_ended_well(process) for process in processes)
    logs = [process.log.read_text() for process in processes]  # its end is full of who waits
    packaged = (file.read_text() for file in (migrate._FOLDER / "versions").glob("[0-9]*.py"))
    own = sum("build_index(" in text for text in packaged)
    assert sum(log.count("schema.index_built") for log in logs) == own + 1, "and the big one"
    assert (migrate.current(db), _one(db, VALID)) == ("9999", True)


def test_index_that_is_there_already_is_accepted(
    db: Database, start: Callable[..., Process]
) -> None:
    _write(db, "CREATE INDEX events_big_idx ON events (name)")
    before = _one(db, OID)
    assert _ended_well(start())
    assert migrate.current(db) == "9999"
    assert _one(db, OID) == before


def test_build_that_the_rows_refuse_succeeds_once_they_are_mended(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "_FOLDER", migrations(tmp_path, "name", unique=True))
    _write(db, "DELETE FROM events WHERE id NOT IN ('old1', 'old2')")
    with pytest.raises(IntegrityError):
        migrate.upgrade(db)
    assert (migrate.current(db), _one(db, VALID)) == (migrate._revisions()[-2], False)
    _write(db, "DELETE FROM events WHERE id = 'old2'")
    migrate.upgrade(db)
    assert (migrate.current(db), _one(db, VALID)) == ("9999", True)


def test_index_is_built_through_a_pooler(
    db: Database, postgres: Postgres, tmp_path: Path, start: Callable[..., Process]
) -> None:
    """A pooler gives a session to others: a lock of the session would never be released."""
    with pooled(postgres, tmp_path, sessions=2) as pooler:
        through = db.url.render_as_string(hide_password=False)
        through = through.replace(f"{LOOPBACK}:{postgres.port}", pooler)
        assert _ended_well(start("pooled", through))
        assert (migrate.current(db), _one(db, VALID)) == ("9999", True)
        assert _one(db, HOLDS) == 0
