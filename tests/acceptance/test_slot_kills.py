"""Workers are killed among limits of concurrency, and the app counts its calls in flight.

A killed worker's call goes on in the app, which cannot know: its slot is taken until its lease
ends. So no call here takes longer than what is left of a lease at the worst.
"""

import random
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.acceptance.full_size import FULL
from tests.acceptance.raw_app import post_events, runs, seed
from tests.processes import LOOPBACK, Process, Server, answers, free_port, wait_until
from tests.sdk.apps.slots_limits import MOST
from tests.servers import Postgres, Valkey

WORKERS = 4
LEASE = 4
RUNS, KEYS, KILLS = (180, 25, 3) if FULL else (120, 25, 2)
SHORT, LONG = 0.03, 1.0
FUNCTIONS = ("keyed", "env-a", "env-b", "account-a", "account-b")
LONG_ONES = 20  # one run in so many takes its time, so that kills leave calls behind


class Installation:
    """An API, four workers and the app, on one PostgreSQL and one Valkey."""

    def __init__(self, folder: Path, database_url: str, broker_url: str) -> None:
        self.database_url, port = database_url, free_port()
        env = {
            "DATABASE_URL": database_url,
            "REDIS_URL": broker_url,
            "INNGEST_DEV": "1",
            "INNGEST_LEASE_SECONDS": str(LEASE),
        }
        self.api = Server("api", log=folder / "api.log", env=env)
        argv = [sys.executable, "-m", "celery", "-A", "inngest_py", "worker", "-P", "gevent"]
        self.workers = [
            Process([*argv, "-c", "20", "-n", f"w{n}@test"], folder / f"w{n}.log", env)
            for n in range(WORKERS)
        ]
        app_argv = [sys.executable, "-m", "tests.sdk.apps.slots_app", str(port)]
        self.app = Process(app_argv, folder / "app.log", {"INNGEST_DEV": self.api.url})
        self.app_url = f"http://{LOOPBACK}:{port}"

    def counts(self) -> dict[str, Any]:
        """What the app has counted."""
        found: dict[str, Any] = requests.get(f"{self.app_url}/counts", timeout=30).json()
        return found


@pytest.fixture
def installation(postgres: Postgres, valkey: Valkey, tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path, postgres.create_database(), valkey.url)
    w0, w1, w2, w3 = made.workers
    with made.api.start(), made.app.start(), w0.start(), w1.start(), w2.start(), w3.start():
        made.app.wait_ready(lambda: answers(f"{made.app_url}/counts"))
        reply = requests.put(f"{made.app_url}/api/inngest", timeout=30)
        assert reply.status_code == 200, reply.text
        yield made


def events(chance: random.Random, count: int, keys: int) -> list[dict[str, Any]]:
    """Make events for all functions, half of them for a tenth of the keys."""

    def one(number: int) -> dict[str, Any]:
        few = chance.random() < 0.5
        key = chance.randrange(max(1, keys // 10) if few else keys)
        takes = LONG if number % LONG_ONES == 0 else SHORT
        name = f"slots/{chance.choice(FUNCTIONS)}"
        return {"name": name, "data": {"k": key, "takes": takes}}

    return [one(number) for number in range(count)]


def ended(installation: Installation) -> bool:
    query: dict[str, Any] = {"status": ["queued", "running"], "limit": 1}
    reply = requests.get(f"{installation.api.url}/api/v1/runs", params=query, timeout=30)
    return reply.ok and not reply.json()["data"]


def check(installation: Installation, sent: list[str]) -> None:
    """Wait for every run, and compare what the app has counted with the limits."""
    wait_until(lambda: ended(installation), 240, "every run to end")
    found = runs(installation.api.url)
    assert Counter(run["event_id"] for run in found) == Counter(sent)
    assert {run["status"] for run in found} == {"completed"}
    counts = installation.counts()
    allowed = counts["allowed"]
    over = {group: most for group, most in counts["most"].items() if most > allowed[group]}
    assert not over, over


def fill(installation: Installation, chance: random.Random) -> list[str]:
    """Send more long calls than two of the limits allow, and wait until both were reached."""
    wanted = {"keyed": "keyed-all:", "account-a": "account:"}
    made = [
        {"name": f"slots/{function}", "data": {"k": key, "takes": LONG}}
        for function in wanted
        for key in range(2 * max(MOST.values()))
    ]
    sent = post_events(installation.api.url, seed(chance), made)

    def reached() -> bool:
        counts = installation.counts()
        most, allowed = counts["most"], counts["allowed"]
        return all(group in most and most[group] == allowed[group] for group in wanted.values())

    wait_until(reached, 60, "both limits to be reached")
    return sent


def test_kills_exceed_no_limit_and_lose_no_slot(installation: Installation) -> None:
    chance = random.Random(20260111)
    sent = fill(installation, chance)
    for _ in range(KILLS):
        chunk = events(chance, RUNS // KILLS, KEYS)
        sent += post_events(installation.api.url, seed(chance), chunk)
        # a call that is certainly cut off: its slot must stay taken after its worker's death
        wait_until(lambda: installation.counts()["now"].get("account:"), 60, "calls in flight")
        victims = chance.sample(installation.workers, chance.choice([1, 2, WORKERS]))
        for victim in victims:
            victim.kill9()
            victim.start()
    check(installation, sent)
