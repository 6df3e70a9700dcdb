"""Canvases of a Celery app end right and once, although its workers, broker and we are killed."""

import random
import sys
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import requests
from celery import chain, chord, group

from tests.acceptance import shop as tasks
from tests.acceptance.celery_shop import Client, Shop
from tests.processes import Process, Server, wait_until
from tests.rabbit import SERVER, Rabbit
from tests.servers import Postgres, Valkey

RABBIT = pytest.mark.skipif(not SERVER.exists(), reason="RabbitMQ is not installed")
LEASE = 3
CHAIN, HEADER = 5, 20
_SECONDS = 240.0  # for the last run to end: on an idle machine it takes 40
# how long before a kill a task may have begun whose answer it cut off, or which it made be sent
# again: from the moment that a run is sent to its last step's commit, on a loaded machine
_REACH = 20.0


@dataclass
class Sent:
    """A run that was started: its id, the output that it must have, the keys of its tasks."""

    run_id: str
    output: object
    keys: list[str]


@dataclass
class Installation:
    """An API, two workers of ours and two of the app, on PostgreSQL and two brokers."""

    shop: Shop
    client: Client
    api: Server
    ours: list[Process]
    theirs: list[Process]
    sent: list[Sent] = field(default_factory=list)
    cuts: list[tuple[float, float]] = field(default_factory=list)

    def send(self, key: str, canvas: Any, output: object, keys: list[str]) -> None:
        """Start a run; ask again while the API is away."""
        again = str(uuid.uuid4())

        def taken() -> str | None:
            try:
                return self.client.start(canvas, idempotency_key=f"{key}-{again}")
            except (requests.RequestException, AssertionError):
                return None

        run_id = wait_until(taken, 90, "the run to be taken")
        assert run_id is not None
        self.sent.append(Sent(run_id, output, keys))

    def send_chain(self, name: str) -> None:
        """Start a chain of five tasks."""
        keys = [f"{name}.{n}" for n in range(CHAIN)]
        first, *others = keys
        canvas = chain(tasks.stamp.s(name, first), *(tasks.stamp.s(key) for key in others))
        self.send(name, canvas, name, keys)

    def send_chord(self, name: str) -> None:
        """Start a chord with a header of twenty tasks."""
        keys = [f"{name}.{n}" for n in range(HEADER)]
        header = group([tasks.stamp.s(n, key) for n, key in enumerate(keys)])
        body = f"{name}.body"
        canvas = chord(header, tasks.stamp.s(body))
        self.send(name, canvas, list(range(HEADER)), [*keys, body])

    def cut(self, action: Callable[[], object]) -> None:
        """Do something that may cut off tasks, and note when."""
        began = time.time()
        action()
        self.cuts.append((began, time.time()))

    def times(self) -> dict[str, list[float]]:
        """List when each task ran."""
        found: dict[str, list[float]] = defaultdict(list)
        for line in self.shop.effects:
            key, at = line.split()
            found[key].append(float(at))
        return found

    def check(self) -> int:
        """Wait for the end of all runs, check them, and return how often tasks ran again."""
        deadline = time.monotonic() + _SECONDS
        for one in self.sent:
            run = self.client.ended(one.run_id, max(1.0, deadline - time.monotonic()))
            assert run["status"] == "completed", run
            assert run["output"] == one.output
        times = self.times()
        assert set(times) == {key for one in self.sent for key in one.keys}
        again = {key: when for key, when in times.items() if len(when) > 1}
        for key, when in again.items():
            for first, second in pairwise(when):
                assert self._explained(first, second), (key, when, self.cuts)
        return sum(len(when) - 1 for when in again.values())

    def _explained(self, first: float, second: float) -> bool:
        """Say whether a cut lies between two runs of a task, or shortly before the first."""
        return any(
            began < second and over > first - _REACH and began < first + _REACH
            for began, over in self.cuts
        )


def pause(chance: random.Random, longest: float) -> None:
    """Wait for a random time, so that the next failure may come at any moment."""
    threading.Event().wait(chance.uniform(0, longest))


@pytest.fixture(
    params=[
        (Valkey, "gevent"),
        (Valkey, "prefork"),
        pytest.param((Rabbit, "gevent"), marks=RABBIT),
    ],
    ids=lambda given: f"{given[0].__name__}-{given[1]}",
)
def parts(request: pytest.FixtureRequest) -> Iterator[tuple[Valkey | Rabbit, str]]:
    """The app's own broker, and the pool of our workers."""
    kind, pool = request.param
    broker: Valkey | Rabbit = kind()
    try:
        yield broker.start(), pool
    finally:
        broker.close()


@pytest.fixture
def installation(
    postgres: Postgres, valkey: Valkey, parts: tuple[Valkey | Rabbit, str], tmp_path: Path
) -> Iterator[Installation]:
    broker, pool = parts
    shop = Shop(broker, tmp_path)
    env = {
        "DATABASE_URL": postgres.create_database(),
        "REDIS_URL": valkey.url,
        "INNGEST_DEV": "1",
        "INNGEST_LEASE_SECONDS": str(LEASE),
    }
    api = Server("api", log=tmp_path / "api.log", env=env)
    argv = [sys.executable, "-m", "celery", "-A", "inngest_py", "worker", "-P", pool]
    argv += ["-c", "50" if pool == "gevent" else "2"]
    ours = [Process([*argv, "-n", f"{n}@test"], tmp_path / f"our-{n}.log", env) for n in "ab"]
    with ExitStack() as stack:
        stack.enter_context(api.start())
        for worker in ours:
            stack.enter_context(worker.start())
        theirs = [stack.enter_context(shop.worker(name)) for name in ("one", "two")]
        client = Client(api.url)
        client.connect(shop)
        yield Installation(shop, client, api, ours, theirs)


def test_nothing_runs_twice_when_nothing_is_killed(installation: Installation) -> None:
    for number in range(100):
        installation.send_chain(f"chain{number}")
        if number % 10 == 0:
            installation.send_chord(f"chord{number}")
    assert installation.check() == 0


def test_runs_survive_kills(installation: Installation, postgres: Postgres) -> None:
    """Slow: what is killed starts again each time, and lost tasks are noticed after a while."""
    chance = random.Random(20261129)
    broker = installation.shop.broker

    def lose() -> None:
        broker.kill()
        broker.start()

    def kill(process: Process) -> Callable[[], None]:
        def killed() -> None:
            process.kill9()
            Process.start(process)  # as a supervisor does, without waiting until it is ready

        return killed

    api = kill(installation.api)
    hits = [kill(one) for one in [*installation.ours, *installation.theirs] * 2]
    hits += [api, api, lose, lose, postgres.restart]
    chance.shuffle(hits)
    for number in range(40):
        installation.send_chain(f"chain{number}")
        if number % 7 == 0:
            installation.send_chord(f"chord{number}")
        if number % 3 == 0 and hits:
            pause(chance, 0.5)
            hit = hits.pop()
            if hit is api:  # no task runs again for that
                hit()
            else:
                installation.cut(hit)
    assert not hits
    installation.check()
