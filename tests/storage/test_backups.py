"""Backups: every row comes back, what was in flight goes on, and what is wrong changes nothing."""

import json
import sqlite3
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from inngest_py.domain.errors import Conflict, InngestPyError, Invalid
from inngest_py.storage.backups import backups, rows, shapes
from inngest_py.storage.backups.backups import Form
from inngest_py.storage.db.session import Database
from inngest_py.storage.schema import migrate
from tests.databases import copied
from tests.engine.harness import Engine, opened, stored_runs
from tests.factories import op, reply
from tests.servers import Postgres

MADE = datetime(2026, 12, 1, tzinfo=UTC)
Target = Callable[[str], Database]


def script(request: dict[str, Any], target: str) -> Any:
    """Sleep, or wait for an event, and then end; an event says which."""
    how = request["event"]["data"]["how"]
    if request["steps"] or how == "end":
        return reply(200, {"text": "é\n\u2028", "steps": len(request["steps"])})
    opts = {"event": "a/answer", "timeout": "1h"}
    step = op("Sleep", "nap", name="1h") if how == "sleep" else op("WaitForEvent", "w", opts=opts)
    return reply(206, [step], x_inngest_req_version="2")


@pytest.fixture
def engine(db: Database) -> Engine:
    """An installation with a run that has ended, one that sleeps, one that waits, one queued."""
    made = Engine(db, script)
    for how in ("end", "sleep", "wait"):
        made.start(data={"how": how})
    made.drain()
    made.start(data={"how": "end"})
    return made


@pytest.fixture
def target(postgres: Postgres, tmp_path: Path) -> Iterator[Target]:
    """Empty databases to restore into, of either kind."""
    made: list[Database] = []

    def make(kind: str) -> Database:
        file = tmp_path / f"target-{len(made)}.db"
        made.append(opened(f"sqlite:///{file}" if kind == "sqlite" else postgres.create_database()))
        return made[-1]

    yield make
    for database in made:
        database.close()


@pytest.fixture(autouse=True)
def _programs(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pg_dump be that of the server's version."""
    monkeypatch.setenv("PATH", str(postgres.programs), prepend=":")


def content(db: Database) -> dict[str, list[tuple[object, ...]]]:
    with db.reading() as tx:
        return {
            table.name: [tuple(row) for page in rows.pages(tx, table) for row in page]
            for table in shapes.ordered()
        }


@pytest.mark.parametrize("portable", [False, True], ids=["native", "portable"])
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_every_row_comes_back_and_what_was_in_flight_ends(
    engine: Engine, target: Target, tmp_path: Path, kind: str, portable: bool
) -> None:
    db = engine.ctx.db
    if not portable and db.is_sqlite != (kind == "sqlite"):
        pytest.skip("a file of the database's own form is for that database alone")
    made = backups.save(db, tmp_path / "backup", MADE, as_rows=portable)
    own = Form.SQLITE if db.is_sqlite else Form.PG_DUMP
    assert made.form is (Form.ROWS if portable else own)
    assert (tmp_path / "backup").stat().st_mode & 0o777 == 0o600
    new = target(kind)
    restored = backups.restore(new, tmp_path / "backup")
    assert (restored.runs, restored.live, restored.now_at) == (4, 3, migrate.head())
    assert content(new) == content(db)
    again = Engine(new, script)
    again.now = engine.now
    again.event("a/answer")
    again.advance(hours=2)
    assert not again.stranded()
    with new.reading() as tx:
        assert [run["status"] for run in stored_runs(tx)] == ["completed"] * 4


def test_tables_of_many_pages_are_read_whole(
    engine: Engine, tmp_path: Path, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "_PAGE", 2)
    for place in range(5):
        engine.start(data={"how": "end", "n": place})
    engine.drain()
    backups.save(engine.ctx.db, tmp_path / "b", MADE, as_rows=True)
    new = target("sqlite")
    backups.restore(new, tmp_path / "b")
    monkeypatch.undo()
    assert content(new) == content(engine.ctx.db)


def test_a_database_with_rows_is_replaced_only_when_that_is_asked(
    engine: Engine, target: Target, tmp_path: Path
) -> None:
    for portable in (False, True):
        file = tmp_path / f"b-{portable}"
        backups.save(engine.ctx.db, file, MADE, as_rows=portable)
        new = target("sqlite" if engine.ctx.db.is_sqlite else "postgresql")
        backups.restore(new, file)
        before = content(new)
        more = Engine(new, script)
        more.start(data={"how": "end"})
        with pytest.raises(Conflict, match=r"is not empty: it has rows in apps, .*--replace"):
            backups.restore(new, file)
        assert backups.restore(new, file, replace=True).runs == 4
        assert content(new) == before


def test_a_database_in_use_is_left_alone(engine: Engine, target: Target, tmp_path: Path) -> None:
    db = engine.ctx.db
    backups.save(db, tmp_path / "b", MADE, as_rows=True)
    url = db.url.render_as_string(hide_password=False)
    with db.reading() as tx:
        tx.execute(text("SELECT 1"))
        same = Database(url)
        with pytest.raises(Conflict, match="stop all servers and workers first"):
            backups.restore(same, tmp_path / "b", replace=True)
        same.close()
    assert len(content(db)["runs"]) == 4


def older(file: Path, new: Path) -> None:
    """Make of a backup one of the schema 0047, which had neither function_hours nor saved_views."""
    with zipfile.ZipFile(file) as read, zipfile.ZipFile(new, "w") as written:
        manifest = json.loads(read.read("manifest.json"))
        gone = {"function_hours", "saved_views"}
        kept = [table for table in manifest["tables"] if table["name"] not in gone]
        for table in kept:
            name = f"rows/{table['name']}.jsonl"
            written.writestr(name, read.read(name))
        manifest |= {"revision": "0047", "tables": kept}
        written.writestr("manifest.json", json.dumps(manifest))


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_backup_of_an_older_version_is_upgraded(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str
) -> None:
    (tmp_path / "new").mkdir()
    with copied(request, "sqlite", tmp_path) as db, copied(request, kind, tmp_path / "new") as new:
        engine = Engine(db, script)
        engine.start(data={"how": "end"})
        backups.save(db, tmp_path / "b", MADE, as_rows=True)
        older(tmp_path / "b", tmp_path / "old")
        restored = backups.restore(new, tmp_path / "old", replace=True)
        assert (restored.revision, restored.now_at) == ("0047", migrate.head())
        assert content(new)["runs"] == content(db)["runs"]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_database_of_an_older_version_is_backed_up_in_its_own_form(
    target: Target, tmp_path: Path, kind: str
) -> None:
    old, new = target(kind), target(kind)
    with pytest.raises(Conflict, match="nothing to back up"):
        backups.save(old, tmp_path / "b", MADE)
    migrate.make(old, "0047")
    with pytest.raises(Conflict, match=r"is at 0047, and .*run inngest-py db upgrade"):
        backups.save(old, tmp_path / "rows", MADE, as_rows=True)
    assert not list(tmp_path.glob("rows*"))
    backups.save(old, tmp_path / "b", MADE)
    migrate.prepare(new)  # a server was started once
    restored = backups.restore(new, tmp_path / "b")
    assert (restored.revision, restored.now_at) == ("0047", migrate.head())


def test_a_backup_of_a_newer_version_is_refused(
    engine: Engine, target: Target, tmp_path: Path
) -> None:
    backups.save(engine.ctx.db, tmp_path / "b", MADE, as_rows=True)
    with zipfile.ZipFile(tmp_path / "b") as read:
        manifest = json.loads(read.read("manifest.json")) | {"revision": "9999", "tables": []}
    with zipfile.ZipFile(tmp_path / "new", "w") as written:
        written.writestr("manifest.json", json.dumps(manifest))
    with pytest.raises(Conflict, match=r"has the schema 9999, of a newer version"):
        backups.restore(target("sqlite"), tmp_path / "new")


@pytest.mark.parametrize("portable", [False, True], ids=["native", "portable"])
def test_a_damaged_file_changes_nothing(
    engine: Engine, target: Target, tmp_path: Path, portable: bool
) -> None:
    db = engine.ctx.db
    backups.save(db, tmp_path / "b", MADE, as_rows=portable)
    whole = (tmp_path / "b").read_bytes()
    before = content(db)
    middle = len(whole) // 3
    for number, damaged in enumerate((whole[:middle], whole[:9] + b"x" * 200 + whole[209:])):
        file = tmp_path / f"damaged-{number}"
        file.write_bytes(damaged)
        with pytest.raises(Invalid, match=f"damaged-{number} "):
            backups.restore(db, file, replace=True)
    assert content(db) == before


def test_what_is_no_backup_of_ours_is_refused(target: Target, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    with zipfile.ZipFile(tmp_path / "zip", "w") as other:
        other.writestr("a", "b")
    with sqlite3.connect(tmp_path / "other.db") as database:
        database.execute("CREATE TABLE a (b)")
    database.close()
    for name, said in (
        ("text", "begins like none"),
        ("zip", r"is no backup, or is cut off: .*manifest\.json"),
        ("other.db", "is a database of another program"),
    ):
        with pytest.raises(Invalid, match=said):
            backups.restore(target("sqlite"), tmp_path / name)
    with pytest.raises(Conflict, match=r"made by SQLite: restore it into a SQLite file .*--port"):
        backups.restore(target("postgresql"), tmp_path / "other.db")


def test_a_file_that_exists_is_kept(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "b").write_text("precious")
    with pytest.raises(Conflict, match="exists: give a backup a name of its own"):
        backups.save(engine.ctx.db, tmp_path / "b", MADE)
    with pytest.raises(InngestPyError, match="cannot be written"):
        backups.save(engine.ctx.db, tmp_path / "none" / "b", MADE)
    assert [file.name for file in tmp_path.glob("b*")] == ["b"]


def test_without_pg_dump_postgres_is_backed_up_in_our_own_form(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = target("postgresql")
    migrate.prepare(db)
    monkeypatch.setenv("PATH", str(tmp_path))
    made = backups.save(db, tmp_path / "a", MADE)
    assert (made.form, made.why) == (Form.ROWS, "pg_dump is not installed")
    program = tmp_path / "pg_dump"
    program.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.24'")
    program.chmod(0o755)
    made = backups.save(db, tmp_path / "b", MADE)
    assert made.form is Form.ROWS
    assert made.why is not None and made.why.startswith("pg_dump is of version 9, and the server")
