"""Queries for one value read what SQLAlchemy reads, and work again after a lost connection."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from inngest_py.domain.runs.runs import RunStatus
from inngest_py.storage.db.columns import table_of
from inngest_py.storage.db.outages import outage
from inngest_py.storage.db.session import Database
from inngest_py.storage.db.statements import SingleValue
from inngest_py.storage.queue import backlog
from inngest_py.storage.runs.runs import RunRow
from tests.engine.harness import Engine, sequence
from tests.servers import Postgres

_runs = table_of(RunRow)


def test_time_is_read_as_it_was_stored(db: Database) -> None:
    engine = Engine(db, sequence("one"))
    with db.reading() as tx:
        assert backlog.next_due(tx) is None
    engine.start()
    with db.reading() as tx:
        first = backlog.next_due(tx)
    assert first is not None
    assert timedelta(0) <= first - engine.now < timedelta(minutes=1)


def test_constants_are_part_of_the_query(db: Database) -> None:
    engine = Engine(db, sequence("one"))
    run_id = engine.start()
    wanted = select(_runs.c.id).where(_runs.c.status == RunStatus.QUEUED.value)
    none = select(_runs.c.id).where(_runs.c.status == RunStatus.FAILED.value)
    with db.reading() as tx:
        assert SingleValue(wanted).value(tx) == run_id
        assert SingleValue(none).value(tx) is None


def test_an_error_is_sqlalchemys(db: Database) -> None:
    wrong = SingleValue(select(text("nothing")).select_from(_runs))
    with db.reading() as tx, pytest.raises(DBAPIError) as raised:
        wrong.value(tx)
    assert not raised.value.connection_invalidated


def test_after_a_restart_one_query_fails_and_no_later_statement(postgres: Postgres) -> None:
    url = postgres.create_database()
    db, other = Database(url), Database(url)
    asked = SingleValue(select(text("1")))
    with db.reading() as first, db.reading() as second, db.reading() as third:
        pids = [tx.exec_driver_sql("SELECT pg_backend_pid()").scalar() for tx in (first, second)]
        pids.append(third.exec_driver_sql("SELECT pg_backend_pid()").scalar())
    with other.transaction() as tx:
        for pid in pids:
            tx.exec_driver_sql(f"SELECT pg_terminate_backend({pid})")
    other.close()
    with db.reading() as tx, pytest.raises(DBAPIError) as raised:
        asked.value(tx)
    assert outage(raised.value)
    with db.reading() as first, db.reading() as second:
        assert asked.value(first) == asked.value(second) == 1
    db.close()
    postgres.drop_database(url)


def test_connection_closed_by_the_driver_is_an_error(postgres_url: str) -> None:
    db = Database(postgres_url)
    with db.reading() as tx, pytest.raises(DBAPIError):
        driver: Any = tx.connection.dbapi_connection
        driver.close()
        SingleValue(select(text("1"))).value(tx)
    db.close()
