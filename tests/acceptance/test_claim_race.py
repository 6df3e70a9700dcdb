"""Two processes claim the same items at the same moments: each item is claimed once."""

import multiprocessing
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from inngest_py.domain.runs.items import ItemKind, ItemState
from inngest_py.storage.db.pools import PoolSize
from inngest_py.storage.db.session import Database
from inngest_py.storage.queue import claiming, queue_items
from inngest_py.storage.schema import migrate

PROCESSES = 2
TIMES = 1000
NOW = datetime(2026, 1, 2, tzinfo=UTC)
LONGEST = 60


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh database of each kind, reached by several processes."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'x.db'}"
    return str(request.getfixturevalue("postgres_url"))


def filled(url: str, count: int) -> list[str]:
    """Make the schema and so many ready items; return their ids."""
    db = Database(url)
    migrate.prepare(db)
    ids = [f"item-{number:04}" for number in range(count)]
    rows = [
        {
            "id": item_id,
            "kind": ItemKind.EDGE.value,
            "run_id": "r",
            "job_key": item_id,
            "state": ItemState.READY.value,
            "queued_at": NOW,
            "due_at": NOW,
            "hint_at": NOW,
        }
        for item_id in ids
    ]
    with db.transaction() as tx:
        assert queue_items.add(tx, rows) == set(ids)
    db.close()
    return ids


def claimant(
    url: str, name: str, ids: Sequence[str], together: Barrier, won: "Queue[tuple[str, list[str]]]"
) -> None:
    """Claim the ids one by one, each at the same moment as the other process."""
    db = Database(url, synchronous="NORMAL", pool=PoolSize(1, 2))
    mine: list[str] = []
    for number, item_id in enumerate(ids):
        together.wait(LONGEST)
        with db.transaction() as tx:
            claimed = claiming.claim(
                tx,
                [item_id],
                lease_id=f"{name}-{number}",
                now=NOW,
                lease=timedelta(minutes=5),
                worker=name,
            )
        mine += [item.id for item in claimed.items]
    db.close()
    won.put((name, mine))


def race(url: str, ids: Sequence[str]) -> dict[str, list[str]]:
    """Let the processes race for the ids; return what each won."""
    spawn = multiprocessing.get_context("spawn")
    together, won = spawn.Barrier(PROCESSES), spawn.Queue()
    racers = [
        spawn.Process(target=claimant, args=(url, f"w{number}", ids, together, won))
        for number in range(PROCESSES)
    ]
    for racer in racers:
        racer.start()
    try:
        results = dict(won.get(timeout=LONGEST) for _ in racers)
    finally:
        for racer in racers:
            racer.join(5)
            racer.kill()
    return results


def test_each_of_a_thousand_items_is_won_by_one_of_two_claims(url: str) -> None:
    ids = filled(url, TIMES)
    won = race(url, ids)
    assert Counter(won["w0"] + won["w1"]) == dict.fromkeys(ids, 1)


def test_one_of_a_thousand_claims_wins_one_item(url: str) -> None:
    (item_id,) = filled(url, 1)
    won = race(url, [item_id] * TIMES)
    assert won["w0"] + won["w1"] == [item_id]
