"""SQLite's plans of the hot statements: each finds its rows by id, whatever else there is."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from inngest_py.domain.errors import LeaseLost
from inngest_py.domain.items import Item, ItemKind
from inngest_py.domain.runs import RunStatus
from inngest_py.storage import drops, migrate, queue, run_loading, runs
from inngest_py.storage.session import Database

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ITEM = Item("i", ItemKind.EDGE, "r", "lease", 0, NOW, NOW)

STATEMENTS: dict[str, Callable[[Connection], Any]] = {
    "advance": lambda tx: runs.advance(tx, [runs.Advance("r", 1, 1, 1, None)]),
    "settle": lambda tx: runs.settle(tx, [runs.Correction("r", True, None)]),
    "end": lambda tx: runs.end(tx, [runs.End("r", RunStatus.COMPLETED, None, NOW)]),
    "load": lambda tx: run_loading.load(tx, ["r"]),
    "turn": lambda tx: queue.turn(tx, [(ITEM, "k", 1, NOW)]),
    "finish": lambda tx: queue.finish(tx, [ITEM]),
    "drop_runs": lambda tx: drops.drop_runs(tx, ["r"], [ITEM]),
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_rows_are_found_by_id(name: str, tmp_path: Path) -> None:
    db = Database(f"sqlite:///{tmp_path / 'plans.db'}", synchronous="OFF")
    migrate.upgrade(db)
    ran: list[str] = []
    steps: list[str] = []
    with db.transaction() as tx:
        driver: Any = tx.connection.dbapi_connection
        driver.set_trace_callback(ran.append)
        with suppress(LeaseLost):  # there are no rows
            STATEMENTS[name](tx)
        driver.set_trace_callback(None)
        for statement in ran:
            explained = driver.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
            steps += [row[3] for row in explained]
    db.close()
    assert steps
    framed = ("SCAN given", "LIST SUBQUERY", "CORRELATED SCALAR SUBQUERY")
    own = [step for step in steps if not step.startswith(framed)]
    by_id = ("_1 (id=?)", "queue_items_run_idx (run_id=?)", "pauses_run_idx (run_id=?)")
    assert all(step.endswith(by_id) for step in own), own
