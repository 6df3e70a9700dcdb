"""Bursts of cancellations while the server is killed: every run ends exactly once."""

import json
import random
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import text

from inngest_py.storage.db.session import Database
from tests.acceptance.full_size import FULL
from tests.acceptance.raw_app import post, registered, runs, seed
from tests.acceptance.test_embedded_kills import COMMANDS, embedded
from tests.processes import wait_until

KEYS = 8
RUNS_A_KEY = 20
KILLED_AT = range(0, KEYS, 1 if FULL else 2)  # after the cancellations of these keys
TOLD = ("inngest/function.finished", "inngest/function.cancelled")
LEFT = ("queue_items", "waits")


def send(server: str, chance: random.Random, takes: float = 0.1) -> None:
    """Start the runs; those of half the keys end by themselves at about the time of the burst."""
    for key in range(KEYS):
        post(
            server, seed(chance), RUNS_A_KEY, "stoppable", key=key, rests=key % 2 == 0, takes=takes
        )


def ended(server: str, database_url: str) -> None:
    """Check that every run has ended once, with one event about it, and has left nothing behind."""
    wait_until(lambda: not _live(server), 60, "every run to end")
    found = [run for run in runs(server) if run["function"] == "raw-stoppable"]
    assert len(found) == KEYS * RUNS_A_KEY
    database = Database(database_url)

    def left() -> list[Any]:
        with database.reading() as db:
            return [db.scalar(text(f"SELECT count(*) FROM {name}")) for name in LEFT]

    # a killed worker may have held the matching of an event whose twin has ended the runs
    wait_until(lambda: left() == [0, 0], 60, "nothing to be left behind")
    with database.reading() as db:
        told = db.execute(text("SELECT name, payload FROM events WHERE internal")).all()
    database.close()
    ends: dict[str, Counter[tuple[str, str]]] = {}
    for name, payload in told:
        data = json.loads(payload)["data"]
        if name in TOLD:
            ends.setdefault(data["run_id"], Counter())[name, data["_inngest"]["status"]] += 1
    for run in found:
        status = run["status"].capitalize()
        wanted = {(TOLD[0], status): 1}
        if status == "Cancelled":
            wanted[TOLD[1], status] = 1
        assert ends[run["id"]] == wanted, run
    assert {run["status"] for run in found} <= {"cancelled", "completed"}


def _live(server: str) -> list[dict[str, Any]]:
    try:
        return [run for run in runs(server) if run["status"] in ("queued", "running")]
    except (requests.RequestException, KeyError):
        return [{}]


@pytest.mark.parametrize("command", COMMANDS)
def test_bursts_of_cancellations_survive_kills(tmp_path: Path, command: str) -> None:
    """Slow: a server starts again after each kill."""
    chance = random.Random(20260105)
    server, app = embedded(command, tmp_path)
    with app.up(), server.start():
        wait_until(lambda: registered(server.url), 20, "the app to be registered")
        send(server.url, chance)
        for key in range(KEYS):
            post(server.url, seed(chance), 3, "stop", key=key)  # one burst would do
            if key in KILLED_AT:
                threading.Event().wait(chance.uniform(0.0, 0.3))
                server.kill9()
                server.start()
        ended(server.url, f"sqlite:///{tmp_path / 'x.db'}")
