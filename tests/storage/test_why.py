"""Queries that say why something waits find their rows by index, on both databases."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from inngest_py.domain.runs.items import ItemKind
from inngest_py.storage.db.session import Database
from inngest_py.storage.operations import pruning
from inngest_py.storage.queries import why_waiting

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ITEM: Any = {"id": "i", "gate": "step:g", "rank_us": 5, "due_at": NOW}

QUERIES: dict[str, Callable[[Connection], Any]] = {
    "items": lambda tx: why_waiting.items(tx, "r", [ItemKind.TIMEOUT]),
    "ahead": lambda tx: why_waiting.ahead(tx, ITEM),
    "due_before": lambda tx: why_waiting.due_before(tx, ITEM, NOW),
    "holders": lambda tx: why_waiting.holders(tx, "step:g"),
    "arrival": lambda tx: why_waiting.arrival(tx, "b"),
    "timer": lambda tx: why_waiting.timer(tx, "throttle:b"),
    "last_failure": lambda tx: why_waiting.last_failure(tx, "r", step="s"),
    "parked": lambda tx: why_waiting.parked(tx, "k"),
    "parked_for_missing": lambda tx: why_waiting.parked_for_missing(tx, "e", ["f"]),
    "batches": lambda tx: why_waiting.batches(tx, "e"),
    "debounced": lambda tx: pruning._debounced(tx, ["e", "f"]),
}


@pytest.mark.parametrize("name", QUERIES)
def test_rows_are_found_by_index(name: str, db: Database) -> None:
    plans: list[str] = []
    explain = "EXPLAIN QUERY PLAN" if db.is_sqlite else "EXPLAIN"

    def note(connection: Any, cursor: Any, statement: str, given: Any, *rest: Any) -> None:
        if statement.startswith("SELECT"):
            cursor.execute(f"{explain} {statement}", given)
            plans.extend(str(row[-1]) for row in cursor.fetchall())

    with db.transaction() as tx:
        if not db.is_sqlite:  # empty tables are scanned otherwise
            tx.execute(text("SET LOCAL enable_seqscan = off"))
        event.listen(db.engine, "before_cursor_execute", note)
        QUERIES[name](tx)
        event.remove(db.engine, "before_cursor_execute", note)
    assert plans
    scans = [
        line
        for line in plans
        if ("Seq Scan" in line or line.startswith("SCAN")) and not line.endswith("anon_1")
    ]
    assert scans == []
