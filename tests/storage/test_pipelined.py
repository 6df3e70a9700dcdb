"""Connections to PostgreSQL that save round trips."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DataError, IntegrityError

from inngest_py.engine.intake import publish
from inngest_py.engine.work.claims import claim
from inngest_py.storage.db import connection
from inngest_py.storage.db.session import Database, later
from inngest_py.storage.db.statements import columns, values
from inngest_py.storage.events import on_arrival
from inngest_py.storage.queue import claiming
from inngest_py.storage.runs.runs import RunRow
from tests.databases import copied
from tests.engine.flow import rows
from tests.engine.harness import Engine, sequence


@pytest.fixture
def db(migrated_postgres: str, postgres_url: str) -> Iterator[Database]:
    """An empty database with one table."""
    made = Database(postgres_url)
    with made.transaction() as tx:
        tx.execute(text("CREATE TABLE numbers (n int PRIMARY KEY)"))
    yield made
    made.close()


@pytest.fixture
def migrated(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database of its own with the whole schema."""
    with copied(request, "postgresql", tmp_path) as made:
        yield made


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """List what is sent to PostgreSQL, one text per round trip."""
    sent: list[str] = []
    execute = connection.Cursor.execute

    def noted(cursor: connection.Cursor, query: object, values: object = None) -> None:
        waits = b"".join(cursor.connection._waiting).decode()
        execute(cursor, query, values)
        sent.append(f"{waits} {query!s}")

    monkeypatch.setattr(connection.Cursor, "execute", noted)
    return sent


def test_begin_and_later_statements_are_sent_with_the_next_one(
    db: Database, messages: list[str]
) -> None:
    with db.transaction() as tx:
        later(tx, "INSERT INTO numbers VALUES (%s)", (1,))
        assert messages == []
        assert tx.execute(text("SELECT n FROM numbers")).scalars().all() == [1]
        later(tx, "INSERT INTO numbers VALUES (%s)", (2,))
    assert len(messages) == 2
    assert "VALUES (2)" in messages[1] and messages[1].endswith("COMMIT")
    assert [row.n for row in rows(db, "SELECT n FROM numbers ORDER BY n")] == [1, 2]


def test_failed_later_statement_fails_the_transaction(db: Database) -> None:
    with pytest.raises(IntegrityError), db.transaction() as tx:
        later(tx, "INSERT INTO numbers VALUES (1), (2)")
        later(tx, "INSERT INTO numbers VALUES (2)")
    with pytest.raises(DataError), db.transaction() as tx:
        later(tx, "INSERT INTO numbers VALUES (3)")
        later(tx, "INSERT INTO numbers VALUES (1 / 0)")
        tx.execute(text("SELECT 1"))
    assert rows(db, "SELECT n FROM numbers") == []


def test_rollback_forgets_later_statements(db: Database) -> None:
    with pytest.raises(ZeroDivisionError), db.transaction() as tx:
        later(tx, "INSERT INTO numbers VALUES (1)")
        raise ZeroDivisionError
    with db.transaction() as tx:
        later(tx, "INSERT INTO numbers VALUES (2)")
    assert [row.n for row in rows(db, "SELECT n FROM numbers")] == [2]


def test_a_transaction_is_rolled_back_as_a_whole(db: Database) -> None:
    with pytest.raises(ZeroDivisionError), db.transaction() as tx:
        tx.execute(text("INSERT INTO numbers VALUES (1)"))
        raise ZeroDivisionError
    assert rows(db, "SELECT n FROM numbers") == []


def test_readers_are_in_no_transaction(db: Database, messages: list[str]) -> None:
    with db.reading(), db.transaction() as tx:  # opens two connections
        tx.execute(text("SELECT 1"))
    messages.clear()
    with db.reading() as tx:
        pid = tx.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with db.transaction() as other:
            query = text("SELECT state FROM pg_stat_activity WHERE pid = :pid")
            assert other.execute(query, {"pid": pid}).scalar_one() == "idle"
    assert len(messages) == 3, "two reads and a COMMIT"


def test_executemany_is_part_of_the_transaction(db: Database) -> None:
    with pytest.raises(ZeroDivisionError), db.transaction() as tx:
        later(tx, "INSERT INTO numbers VALUES (1), (2)")
        tx.execute(text("UPDATE numbers SET n = n + :d WHERE n > :d"), [{"d": 1}, {"d": 2}])
        raise ZeroDivisionError
    assert rows(db, "SELECT n FROM numbers") == []


def test_an_event_takes_two_round_trips_and_a_claim_two(
    migrated: Database, messages: list[str]
) -> None:
    engine = Engine(migrated, sequence())
    engine.ctx.catalog.version = -1
    publish.accept(engine.ctx, [engine.event()])  # reads the catalogue
    messages.clear()
    publish.accept(engine.ctx, [engine.event()])
    assert len(messages) == 2, messages
    messages.clear()
    assert claim(engine.ctx, [engine.hinted.hints[-1][1]])
    assert len(messages) == 2, messages
    assert "synchronous_commit = off" in messages[1]


def test_an_event_does_not_meet_each_of_many_waits_for_another(migrated: Database) -> None:
    with migrated.transaction() as tx:
        tx.exec_driver_sql(
            "INSERT INTO waits (id, kind, run_id, event_name, created_by, created_at, expires_at)"
            " SELECT n, 'event', n, 'a/b', 'e', now(), now() FROM generate_series(1, 5000) n"
        )
        tx.exec_driver_sql("ANALYZE waits")
        given = on_arrival._look._constants | columns(["name"], [("c/d",)])
        plan = tx.exec_driver_sql(f"EXPLAIN {on_arrival._look._sql}", given).scalars().all()
        tx.rollback()
    on_waits = [line for line in plan if " on waits" in line]
    assert on_waits and all("Index" in line for line in on_waits), plan


def test_a_claim_does_not_read_all_runs(migrated: Database) -> None:
    engine = Engine(migrated, sequence())
    publish.accept(engine.ctx, [engine.event()])
    wanted = {"ids": [engine.hinted.hints[-1][1]]}
    plans: list[str] = []
    with migrated.transaction() as tx:
        names = [column.name for column in RunRow.__table__.c]
        copied = ", ".join("id || n" if name == "id" else name for name in names)
        tx.exec_driver_sql(
            f"INSERT INTO runs ({', '.join(names)})"
            f" SELECT {copied} FROM runs, generate_series(1, 5000) n"
        )
        tx.exec_driver_sql("ANALYZE runs")
        how = values(claiming._HOW, ("lease", engine.now, "worker", engine.now, 1))
        given = claiming._claim._constants | wanted | how
        for statement in claiming._claim._sql.split(";\n"):
            plans += tx.exec_driver_sql(f"EXPLAIN {statement}", given).scalars().all()
        tx.rollback()
    on_runs = [line for line in plans if "Scan on runs" in line or "using runs" in line]
    assert on_runs and not any("Seq Scan" in line for line in on_runs), plans
