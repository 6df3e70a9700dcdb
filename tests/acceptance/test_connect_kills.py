"""Runs of connected workers end, and steps run again only where something was killed.

`make kills-connect SEEDS=1,2,3` runs this in full size, with all SDKs and forms of installation.
"""

import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.connect_fleet import Fleet, fleet
from tests.acceptance.full_size import FULL, SEEDS
from tests.processes import Process, wait_until
from tests.sdk.connect_worker import CONNECTED
from tests.servers import Postgres, Valkey

RUNS = 200 if FULL else 20
ROUNDS = 4 if FULL else 1  # how often each part is hit
TAKES = 0.3
_BETWEEN = RUNS // 4  # steps that run between two hits
STOPPED = 30.0
# the small form does not wait for what a killed gateway's workers would still answer
ENV = {} if FULL else {"INNGEST_LEASE_SECONDS": "3"}
# an answer that was lost with its gateway comes after half a minute, and so does the next one
PATIENCE = 300.0 if FULL else 60.0

seeded = pytest.mark.parametrize("seed", SEEDS or [20261130])


def on(*chosen: tuple[str, str]) -> pytest.MarkDecorator:
    """Run a test on these forms of installation with these SDKs, in full size with all."""
    everything = [(form, kind) for form in ("embedded", "several") for kind in CONNECTED]
    return pytest.mark.parametrize(("form", "kind"), everything if FULL else chosen)


@pytest.fixture
def parts(
    form: str, kind: str, postgres: Postgres, valkey: Valkey, tmp_path: Path
) -> Iterator[Fleet]:
    """The gateways and workers."""
    urls = None if form == "embedded" else (postgres.create_database(), valkey.url)
    with fleet(tmp_path, kind, urls, ENV) as made:
        yield made


def killed(*victims: Process) -> Callable[[], None]:
    """Make what kills processes."""

    def run() -> None:
        for victim in victims:
            victim.kill9()

    return run


def stopped(*victims: Process) -> Callable[[], None]:
    """Make what asks processes to stop at the same time, and waits until they have."""

    def run() -> None:
        for victim in victims:
            os.kill(victim.pid, signal.SIGTERM)
        wait_until(lambda: not any(one.running for one in victims), 60, "all to stop")

    return run


@on(("embedded", "python-connect"), ("several", "ts-connect"))
@seeded
def test_runs_survive_kills(parts: Fleet, form: str, seed: int) -> None:
    """Slow: what is killed starts again each time, and calls that were cut off are noticed late."""
    chance = random.Random(seed)
    victims = [(worker,) for worker in parts.workers]
    if FULL or form == "several":  # a server that is alone leaves calls to workers for long
        victims += [(gateway,) for gateway in parts.gateways]
        victims += [(parts.workers[0], parts.gateways[-1])]
    hits = victims * ROUNDS
    chance.shuffle(hits)
    with parts.load(RUNS, TAKES, chance):
        for hit in hits:
            parts.progress(_BETWEEN)
            threading.Event().wait(chance.uniform(0, TAKES))
            parts.hit(killed(*hit))
            for victim in hit:
                Process.start(victim)  # as a supervisor does, without waiting until it is ready
    parts.check(TAKES, PATIENCE)


@pytest.mark.skipif(not FULL, reason="takes a minute: make kills-connect")
@pytest.mark.parametrize(("form", "kind"), [("several", "python-connect")])
@seeded
def test_what_a_killed_gateway_had_does_not_run_again(parts: Fleet, seed: int) -> None:
    """Its workers live: they send the answers that were lost half a minute later."""
    with parts.load(RUNS, TAKES, random.Random(seed)):
        for gateway in parts.gateways:
            parts.progress(_BETWEEN)
            parts.hit(killed(gateway))
            gateway.start()
    assert parts.check(TAKES, PATIENCE) == 0


@on(("several", "python-connect"))
@seeded
def test_a_rolling_deploy_costs_nothing(parts: Fleet, seed: int) -> None:
    """Slow: gateways, workers of ours and connected ones are replaced one by one, under load."""
    with parts.load(RUNS, TAKES, random.Random(seed)):
        for version in range(ROUNDS):
            for gateway in parts.gateways:
                parts.progress()
                assert gateway.terminate() == 0, parts.logs()
                gateway.start()
            if parts.engine is not None:
                parts.progress()
                assert parts.engine.terminate() == 0, parts.logs()
                parts.engine.start()
            for worker in [one for one in parts.workers if one.running]:
                parts.progress()
                parts.add_worker(str(version))
                os.kill(worker.pid, signal.SIGTERM)
                wait_until(lambda: not worker.running, 60, "the old worker to end")  # noqa: B023
    assert parts.check(TAKES, PATIENCE) == 0


@pytest.mark.skipif(not FULL, reason="takes half a minute: make kills-connect")
@on()
@seeded
def test_all_that_stops_at_once_loses_nothing(parts: Fleet, seed: int) -> None:
    """As if a machine with all of it shut down: each part has its own time to stop."""
    with parts.load(RUNS, TAKES, random.Random(seed)):
        parts.progress(_BETWEEN)
        parts.hit(stopped(*parts.gateways, *parts.workers))
        for gateway in parts.gateways:
            gateway.start()
        for _ in range(2):
            parts.add_worker()
        parts.progress(_BETWEEN)
    parts.check(TAKES, PATIENCE)


@pytest.mark.skipif(not FULL, reason="takes half a minute: make kills-connect")
@on()
@seeded
def test_a_gateway_that_stands_still_costs_no_attempt(parts: Fleet, seed: int) -> None:
    """Its workers go elsewhere if they can; what it had may run again there."""

    def stand_still() -> None:
        parts.gateways[-1].suspend()
        threading.Event().wait(STOPPED)
        parts.gateways[-1].resume()

    with parts.load(RUNS, TAKES, random.Random(seed)):
        parts.progress(_BETWEEN)
        parts.hit(stand_still)
        parts.progress(_BETWEEN)
    parts.check(TAKES, PATIENCE)


@pytest.mark.skipif(not FULL, reason="takes half a minute: make kills-connect")
@on()
@seeded
def test_a_worker_that_stands_still_goes_on(parts: Fleet, seed: int) -> None:
    """It answers nothing meanwhile; what it has stays with it, for it is heard of again."""
    with parts.load(RUNS, TAKES, random.Random(seed)):
        parts.progress(RUNS)
        still = parts.workers[0]
        still.suspend()
        threading.Event().wait(STOPPED)
        still.resume()
    assert parts.check(TAKES, PATIENCE) == 0
