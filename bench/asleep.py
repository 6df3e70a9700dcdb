"""Many sleeping runs: rows written straight into the database, most of them asleep for an hour."""

import random
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from inngest_py.domain.values import ids
from inngest_py.storage.db.session import Database
from inngest_py.storage.events import events
from inngest_py.storage.queries import function_list
from inngest_py.storage.queue import queue_items
from inngest_py.storage.runs import runs

from .endpoint import step_hash

_CHUNK = 1000


def put_to_sleep(
    url: str, asleep: int, waking: int, begin: timedelta, spread: timedelta
) -> list[float]:
    """Write `asleep` runs that sleep for an hour and `waking` that wake in `spread` after `begin`.

    Returns when each of these should wake, in seconds since 1970, by its event's index.
    """
    db = Database(url, synchronous="NORMAL")
    with db.reading() as tx:
        function = next(f for f in function_list.every(tx) if f["slug"] == "bench-sleep")
    due = [datetime.now(UTC) + timedelta(hours=1) for _ in range(asleep)]
    for start in range(0, asleep, _CHUNK):
        _write(db, function, due[start : start + _CHUNK], -1)
    now = datetime.now(UTC)
    chance = random.Random(7)
    wakes = [now + begin + spread * chance.random() for _ in range(waking)]
    _write(db, function, wakes, 0)
    db.close()
    return [at.timestamp() for at in wakes]


def _write(db: Database, function: Any, due: list[datetime], first: int) -> None:
    """Write runs that are asleep until their times; `first` is their first index, -1 for none."""
    now = datetime.now(UTC)
    rows = [
        rows_of(function, now, at, first if first < 0 else first + n) for n, at in enumerate(due)
    ]
    with db.transaction() as tx:
        events.add(tx, [row[0] for row in rows])
        runs.add(tx, [row[1] for row in rows])
        queue_items.add(tx, [row[2] for row in rows])


def rows_of(function: Any, now: datetime, due: datetime, index: int) -> tuple[Any, Any, Any]:
    """Make the rows of an event, its run, which has started, and the item of its sleep."""
    run_id, event_id, item_id = (
        ids.ulid(int(now.timestamp() * 1000), secrets.token_bytes(10)) for _ in range(3)
    )
    payload = f'{{"data":{{"i":{index}}},"id":"{event_id}","name":"bench/sleep","ts":0}}'
    event = {
        "id": event_id,
        "external_id": event_id,
        "name": "bench/sleep",
        "payload": payload,
        "ts": now,
        "received_at": now,
        "internal": False,
    }
    run = {
        "id": run_id,
        "function_id": function["id"],
        "function_version": function["version"],
        "event_id": event_id,
        "status": "running",
        "queued_at": now,
        "started_at": now,
        "request_version": 2,
        "correlation_id": None,
    }
    nap = step_hash("nap")
    item = {
        "id": item_id,
        "kind": "sleep",
        "run_id": run_id,
        "job_key": f"{run_id}-{nap}-sleep",
        "state": "ready",
        "queued_at": now,
        "due_at": due,
        "hint_at": due,
        "attempt": 0,
        "step": nap,
        "step_name": "nap",
    }
    return event, run, item
