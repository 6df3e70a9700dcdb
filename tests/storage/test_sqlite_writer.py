"""The kept connection that writes to SQLite: what one transaction leaves, none after it finds."""

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.exc import DBAPIError

from inngest_py.storage.db.meta import Meta
from inngest_py.storage.db.session import Database
from inngest_py.storage.db.sqlite_writer import at_end, savepoint


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    db = Database(f"sqlite:///{tmp_path / 'x.db'}")
    db.create_all()
    yield db
    db.close()


def _add(db: Database, key: str, *, fail: bool = False) -> None:
    with db.transaction() as tx:
        tx.execute(insert(Meta).values(key=key, value=1))
        if fail:
            raise LookupError(key)


def _count(db: Database) -> int:
    with db.reading() as tx:
        return int(tx.execute(select(func.count()).select_from(Meta)).scalar_one())


def test_failed_transaction_leaves_nothing_to_the_next(db: Database) -> None:
    _add(db, "a")
    with pytest.raises(LookupError):
        _add(db, "b", fail=True)
    with pytest.raises(DBAPIError):
        _add(db, "a")
    _add(db, "c")
    assert _count(db) == 2


def test_option_of_a_transaction_ends_with_it(db: Database) -> None:
    with db.transaction() as tx:
        tx.execution_options(mine=1)
    with db.transaction() as tx:
        assert "mine" not in tx.get_execution_options()


def test_calls_at_the_end_learn_whether_it_was_committed(db: Database) -> None:
    told: list[tuple[str, bool]] = []
    for key, fail in (("a", False), ("b", True), ("c", False)):
        try:
            with db.transaction() as tx:
                at_end(tx, lambda committed, key=key: told.append((key, committed)))  # type: ignore[misc]
                if fail:
                    raise LookupError
        except LookupError:
            pass
    assert told == [("a", True), ("b", False), ("c", True)]


def test_threads_write_in_turns(db: Database) -> None:
    def write(name: str) -> None:
        for number in range(20):
            _add(db, f"{name}{number}")

    threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert _count(db) == 60


def test_database_writes_again_after_it_was_closed(db: Database) -> None:
    _add(db, "a")
    db.close()
    _add(db, "b")
    assert _count(db) == 2


def test_closing_leaves_no_connection_that_holds_the_file(db: Database) -> None:
    _add(db, "a")
    db.close()
    assert db.file is not None
    with sqlite3.connect(db.file) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("INSERT INTO meta (key, value) VALUES ('b', 1)")  # waits for nobody
    other.close()
    assert not db.file.with_name("x.db-wal").exists()


def test_savepoint_undoes_its_own_part_alone(db: Database) -> None:
    with db.transaction() as tx:
        tx.execute(insert(Meta).values(key="a", value=1))
        with pytest.raises(LookupError), savepoint(tx):
            tx.execute(insert(Meta).values(key="b", value=1))
            raise LookupError
        with savepoint(tx):
            tx.execute(insert(Meta).values(key="c", value=1))
    with db.reading() as reading:
        assert list(reading.execute(select(Meta.key).order_by(Meta.key)).scalars()) == ["a", "c"]
