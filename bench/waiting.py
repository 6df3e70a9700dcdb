"""Many waiting runs: rows written straight into the database, each waits for its own number."""

import os
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete

from inngest_py.domain.events import lookups
from inngest_py.domain.steps import wait_results, waits
from inngest_py.domain.values import ids
from inngest_py.storage.db.session import Database
from inngest_py.storage.events import events
from inngest_py.storage.events import waits as wait_rows
from inngest_py.storage.queries import function_list
from inngest_py.storage.queue import queue_items
from inngest_py.storage.runs import runs

from .asleep import rows_of
from .endpoint import step_hash

_CHUNK = 1000
_HOUR = timedelta(hours=1)


def put_to_wait(url: str, indices: range) -> None:
    """Write runs of `bench-wait` that wait an hour for `bench/go` with their index."""
    db = Database(url, synchronous="NORMAL")
    with db.reading() as tx:
        function = next(f for f in function_list.every(tx) if f["slug"] == "bench-wait")
    for start in range(0, len(indices), _CHUNK):
        now = datetime.now(UTC)
        rows = [_rows(function, now, index) for index in indices[start : start + _CHUNK]]
        with db.transaction() as tx:
            events.add(tx, [row[0] for row in rows])
            runs.add(tx, [row[1] for row in rows])
            queue_items.add(tx, [row[2] for row in rows])
            wait_rows.add(tx, [row[3] for row in rows])
    _settle(db)
    db.close()


def stop_waiting(url: str) -> None:
    """End every wait; its run and its time-out stay."""
    db = Database(url, synchronous="NORMAL")
    with db.transaction() as tx:
        tx.execute(delete(wait_rows.WaitRow))
    _settle(db)
    db.close()


def _settle(db: Database) -> None:
    """Bring what was written to the disk: events after it would wait for that."""
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if db.is_sqlite:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        else:
            connection.exec_driver_sql("VACUUM ANALYZE")
            connection.exec_driver_sql("CHECKPOINT")
    os.sync()


def _rows(function: Any, now: datetime, index: int) -> tuple[Any, Any, Any, Any]:
    event, run, item = rows_of(function, now, now + _HOUR, index)
    wait = step_hash("go")
    info = {"eventName": "bench/go", "expression": None, "foundEventID": None, "timeout": None}
    opts = wait_results.StoredWait(waits.WaitKind.EVENT, info, races=False).written()
    named = {"step": wait, "step_name": "go", "opts": opts}
    item |= {"kind": "pause", "job_key": f"{run['id']}-{wait}-pause", **named}
    expression = f"async.data.i == {float(index)}"
    path, key = lookups.lookup(expression)
    pause = {
        "id": ids.wait_id(run["id"], wait),
        "kind": "event",
        "run_id": run["id"],
        "step": wait,
        "event_name": "bench/go",
        "expression": expression,
        "lookup_path": path,
        "lookup_key": key,
        "signal": None,
        "created_by": event["id"],
        "created_at": now,
        "expires_at": item["due_at"],
        "item_id": item["id"],
    }
    return event, run, item, pause
