"""Statements that SQLite runs once for each row: what they return and raise."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError, IntegrityError

from inngest_py.storage.db.outages import outage
from inngest_py.storage.db.session import Database
from inngest_py.storage.db.statements import PerRow, given
from inngest_py.storage.queries import timeline_rows
from inngest_py.storage.queue import queue_items
from inngest_py.storage.queue.queue_items import QueueItem
from inngest_py.storage.runs import attempts
from tests.engine.harness import prepared

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
ITEM = {
    "id": "i",
    "kind": "edge",
    "run_id": "r",
    "job_key": "k",
    "state": "ready",
    "queued_at": NOW,
    "due_at": NOW,
    "hint_at": NOW,
    "attempt": 0,
    "generation": 0,
}


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    made = prepared(f"sqlite:///{tmp_path / 'test.db'}")
    yield made
    made.close()


def test_rows_come_back_as_they_were_given(sqlite: Database) -> None:
    table = QueueItem.__table__
    names = ["id", "due_at"]
    values = given(names)
    moved = table.update().where(table.c.id == values["id"]).values(due_at=values["due_at"])
    statement = PerRow(moved.returning(table.c.id, table.c.due_at, table.c.opts), names)
    later = NOW.replace(year=2027)
    with sqlite.transaction() as tx:
        assert queue_items.add(tx, [ITEM, ITEM | {"id": "j", "job_key": "l"}]) == {"i", "j"}
        assert queue_items.add(tx, [ITEM]) == set()  # its job is queued already
        found = statement.run(tx, [("i", later), ("none", later), ("j", NOW)])
        assert [(row.id, row.due_at, row.opts) for row in found] == [
            ("i", later, None),
            ("j", NOW, None),
        ]
        assert found.scalars() == ["i", "j"]


def test_refused_row_raises_the_error_of_sqlalchemy(sqlite: Database) -> None:
    with pytest.raises(IntegrityError) as caught, sqlite.transaction() as tx:
        queue_items.add(tx, [ITEM])
        attempts.add(tx, [{"run_id": "r", "attempt": 0}])
    assert "queued_at" not in str(caught.value.params)
    assert not outage(caught.value)
    with sqlite.reading() as tx:
        assert timeline_rows.queued_for(tx, "r") == []  # all of the transaction was rolled back


def test_locked_database_is_an_outage(sqlite: Database, tmp_path: Path) -> None:
    other = Database(str(sqlite.url))
    with sqlite.transaction(), other.reading() as tx:
        tx.exec_driver_sql("PRAGMA busy_timeout=1")
        with pytest.raises(DBAPIError) as caught:
            queue_items.add(tx, [ITEM])
    assert outage(caught.value)
    other.close()


def test_query_is_run_for_each_row(sqlite: Database) -> None:
    table = QueueItem.__table__
    found = select(table.c.id.label("item"), table.c.due_at).where(
        table.c.id == given(["id"])["id"], table.c.state == "ready"
    )
    statement = PerRow(found, ["id"])
    with sqlite.transaction() as tx:
        queue_items.add(tx, [ITEM, ITEM | {"id": "j", "job_key": "l"}])
        rows = statement.run(tx, [("j",), ("none",), ("i",)])
    assert [(row.item, row.due_at) for row in rows] == [("j", NOW), ("i", NOW)]
