"""Which driver is used for a URL, and which errors of the database are outages."""

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from inngest_py.serving.preparing import try_to_write
from inngest_py.storage.db.meta import Meta
from inngest_py.storage.db.outages import outage
from inngest_py.storage.db.session import Database
from tests.servers import Postgres


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg2"])
def test_postgresql_is_reached_through_psycopg2(scheme: str) -> None:
    db = Database(f"{scheme}://nobody@127.0.0.1:1/x")
    assert db.engine.driver == "psycopg2"
    db.close()


def test_database_that_is_away_is_an_outage(postgres: Postgres) -> None:
    db = Database("postgresql://nobody@127.0.0.1:1/x")
    with pytest.raises(DBAPIError) as caught, db.reading():
        pass
    assert outage(caught.value)
    db.close()


def test_missing_table_is_no_outage(postgres_url: str) -> None:
    db = Database(postgres_url)
    with pytest.raises(DBAPIError) as caught, db.reading() as tx:
        tx.execute(Meta.__table__.select())
    assert not outage(caught.value)
    db.close()


def test_a_look_at_the_file_keeps_the_locks_of_sqlite(tmp_path: Path) -> None:
    """Else another process that closes the database deletes the log that this one writes to."""
    file = tmp_path / "x.db"
    db = Database(f"sqlite:///{file}")
    try:
        with db.transaction() as tx:
            tx.execute(text("CREATE TABLE t (n INTEGER)"))
        log = (tmp_path / "x.db-wal").stat().st_ino
        try_to_write(file)
        opened = f"import sqlite3; c = sqlite3.connect({str(file)!r})"
        read = f"{opened}; print(*c.execute('SELECT * FROM t')); c.close()"
        subprocess.run([sys.executable, "-c", read], check=True)
        assert (tmp_path / "x.db-wal").stat().st_ino == log
        with db.transaction() as tx:
            tx.execute(text("INSERT INTO t VALUES (7)"))
        found = subprocess.run([sys.executable, "-c", read], check=True, capture_output=True)
        assert found.stdout == b"(7,)\n"
    finally:
        db.close()
