"""Canvases of a Celery app end right and once, although its workers, broker and we are killed.

`make kills SEEDS=1,2,3` runs this in full size, on all databases and brokers.
"""

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.acceptance.celery_installation import Installation, killed, pause, shuffled, stopped
from tests.acceptance.celery_shop import Client, Shop
from tests.acceptance.full_size import FULL, SEEDS
from tests.processes import Process, Server
from tests.rabbit import SERVER, Rabbit
from tests.servers import Postgres, Valkey

RABBIT = pytest.mark.skipif(not SERVER.exists(), reason="RabbitMQ is not installed")
LEASE = 3
CHAINS, CHORDS = (200, 20) if FULL else (20, 2)
LARGE = 1000 if FULL else 100  # tasks in the header of one more chord
ROUNDS = 4 if FULL else 1  # how often each part is hit


class Parts(NamedTuple):
    """The database, the app's broker, and the pool of our workers, None for the server's own."""

    database: str
    broker: type[Valkey] | type[Rabbit]
    pool: str | None


SQLITE_VALKEY = Parts("sqlite", Valkey, None)
SQLITE_RABBIT = Parts("sqlite", Rabbit, None)
POSTGRES_VALKEY = Parts("postgresql", Valkey, "gevent")
POSTGRES_PREFORK = Parts("postgresql", Valkey, "prefork")
POSTGRES_RABBIT = Parts("postgresql", Rabbit, "gevent")
ALL = [SQLITE_VALKEY, SQLITE_RABBIT, POSTGRES_VALKEY, POSTGRES_PREFORK, POSTGRES_RABBIT]


def on(*chosen: Parts) -> pytest.MarkDecorator:
    """Run a test on these parts, in full size on all."""
    return pytest.mark.parametrize(
        "parts",
        [
            pytest.param(
                one,
                marks=[RABBIT] if one.broker is Rabbit else [],
                id=f"{one.database}-{one.broker.__name__}-{one.pool or 'embedded'}",
            )
            for one in (ALL if FULL else chosen)
        ],
    )


seeded = pytest.mark.parametrize("seed", SEEDS or [20261129])


@pytest.fixture
def broker(parts: Parts) -> Iterator[Valkey | Rabbit]:
    """The app's own broker."""
    made = parts.broker()
    try:
        yield made.start()
    finally:
        made.close()


@pytest.fixture
def installation(
    postgres: Postgres, valkey: Valkey, parts: Parts, broker: Valkey | Rabbit, tmp_path: Path
) -> Iterator[Installation]:
    shop = Shop(broker, tmp_path)
    env = {"INNGEST_DEV": "1", "INNGEST_LEASE_SECONDS": str(LEASE)}
    with ExitStack() as stack:
        if parts.pool is None:
            file = f"sqlite:///{tmp_path / 'x.db'}"
            servers = [
                Server("start", "--database-url", file, log=tmp_path / "server.log", env=env)
            ]
            ours: list[Process] = []
            restart = None
        else:
            env |= {"DATABASE_URL": postgres.create_database(), "REDIS_URL": valkey.url}
            names = "ab" if FULL else "a"
            servers = [Server("api", log=tmp_path / f"api-{n}.log", env=env) for n in names]
            argv = [sys.executable, "-m", "celery", "-A", "inngest_py", "worker", "-P", parts.pool]
            argv += ["-c", "50" if parts.pool == "gevent" else "2"]
            ours = [
                Process([*argv, "-n", f"{n}@test"], tmp_path / f"our-{n}.log", env) for n in "ab"
            ]
            restart = postgres.restart
        for one in [*servers, *ours]:
            stack.enter_context(one.start())
        theirs = [stack.enter_context(shop.worker(name)) for name in ("one", "two")]
        Client(servers[0].url).connect(shop)
        yield Installation(shop, servers, ours, theirs, restart)


@on(SQLITE_VALKEY)
@seeded
def test_nothing_runs_twice_where_neither_a_worker_nor_the_broker_is_hit(
    installation: Installation, valkey: Valkey, parts: Parts, seed: int
) -> None:
    """Slow: our servers and workers stop and start meanwhile, and the database."""
    chance = random.Random(seed)
    # the broker of our hints loses them; the app's broker is another
    others: list[Callable[[], object]] = [valkey.flush]
    if installation.restart_database is not None:
        others += [installation.restart_database]
        others += [killed(server) for server in installation.servers]
    else:
        others += [stopped(server) for server in installation.servers]
    hits = shuffled(chance, [*others, *(stopped(one) for one in installation.ours)] * ROUNDS)
    often = 1.5 * len(hits) / CHAINS

    def interrupt() -> None:
        if hits and chance.random() < often:
            hits.pop()()

    installation.send_all(CHAINS, CHORDS, interrupt)
    assert installation.check() == 0


@on(POSTGRES_RABBIT)
@seeded
def test_runs_survive_kills(installation: Installation, parts: Parts, seed: int) -> None:
    """Slow: what is killed starts again each time, and lost tasks are noticed after a while."""
    chance = random.Random(seed)
    interrupt, hits = _all_hits(installation, parts, chance)
    installation.send_chord("large", LARGE)
    installation.send_all(CHAINS, CHORDS, interrupt)
    while hits:
        interrupt()
    installation.check()


def _all_hits(
    installation: Installation, parts: Parts, chance: random.Random
) -> tuple[Callable[[], None], list[Callable[[], object]]]:
    """Make what hits one part after another, at random, and the list of what is still to come."""
    broker = installation.shop.broker

    def lose() -> None:
        broker.kill()
        broker.start()

    fatal: list[Callable[[], object]] = [lose, broker.flush]
    fatal += [killed(one) for one in [*installation.ours, *installation.theirs]]
    harmless: list[Callable[[], object]] = []
    if installation.restart_database is not None:
        harmless += [installation.restart_database]
    # a server that is a worker, too, may have sent tasks
    (harmless if installation.ours else fatal).extend(map(killed, installation.servers))
    hits = shuffled(chance, [*fatal, *harmless] * ROUNDS)
    often = 1.5 * len(hits) / CHAINS

    def interrupt() -> None:
        if hits and chance.random() < often:
            pause(chance, 0.5)
            hit = hits.pop()
            if hit in harmless:
                hit()
            else:
                installation.hit(hit)

    return interrupt, hits
