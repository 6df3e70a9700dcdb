"""The server is killed during debounces and event batches: every event runs once, none is lost."""

import json
import random
import sqlite3
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import requests

from tests.acceptance.full_size import FULL
from tests.acceptance.raw_app import RawApp, post_events, runs, seed
from tests.acceptance.test_embedded_kills import embedded
from tests.processes import Server, wait_until

KEYS = 6
ROUNDS = 12 if FULL else 3
RULES = {
    "debounced": {"debounce": {"period": "1s", "key": "event.data.key"}},
    "batched": {"batchEvents": {"maxSize": 7, "timeout": "1s", "key": "event.data.key"}},
}


def register(server: Server, app: RawApp, name: str, rule: dict[str, Any]) -> None:
    body = {
        "app": "rules",
        "id": f"rules-{name}",
        "name": name,
        "url": f"{app.url}?fnId=raw-seq5&stepId=step",
        "triggers": [{"event": "raw/ruled"}],
        **rule,
    }
    reply = requests.post(f"{server.url}/api/v1/functions", json=body, timeout=10)
    assert reply.ok, reply.text


def nothing_waits(server: Server, database: Path) -> bool:
    with closing(sqlite3.connect(database)) as db:
        tables = ("debounces", "batch_buckets", "queue_items")
        if any(db.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() for table in tables):
            return False
    return all(run["status"] == "completed" for run in runs(server.url))


def test_debounces_and_batches_survive_kills(tmp_path: Path) -> None:
    """Slow: a server starts again after each kill, and debounces wait for quiet."""
    chance = random.Random(20260106)
    server, app = embedded("dev", tmp_path)
    database = tmp_path / "x.db"
    sent: list[str] = []
    last: dict[int, str] = {}
    with app.up(), server.start():
        for name, rule in RULES.items():
            register(server, app, name, rule)
        for _ in range(ROUNDS):
            keys = [chance.randrange(KEYS) for _ in range(20)]
            events = [{"name": "raw/ruled", "data": {"key": key}} for key in keys]
            ids = post_events(server.url, seed(chance), events)
            sent += ids
            last |= dict(zip(keys, ids, strict=True))
            # so long that some timers fire, some are cut, and some come due while it is dead
            threading.Event().wait(chance.uniform(0.0, 1.5))
            server.kill9()
            threading.Event().wait(chance.uniform(0.0, 0.5))
            server.start()
        wait_until(lambda: nothing_waits(server, database), 60, "everything to have run")
        with closing(sqlite3.connect(database)) as db:
            batched = db.execute("SELECT batch_id, event_id FROM batch_events").fetchall()
            made = db.execute(
                "SELECT slug, event_id, batch_id FROM runs JOIN functions"
                " ON functions.id = runs.function_id"
            ).fetchall()
            payloads = dict(db.execute("SELECT id, payload FROM events").fetchall())
    assert Counter(event for _, event in batched) == Counter(sent)
    batches = Counter(batch for _, _, batch in made if batch is not None)
    assert batches == dict.fromkeys({batch for batch, _ in batched}, 1)
    assert max(Counter(batch for batch, _ in batched).values()) <= 7
    debounced = [event for slug, event, _ in made if slug == "rules-debounced"]
    assert max(Counter(debounced).values()) == 1
    assert set(last.values()) <= set(debounced)
    keys_run = Counter(json.loads(payloads[event])["data"]["key"] for event in debounced)
    assert set(keys_run) == set(last)
    assert len(debounced) < len(sent)
