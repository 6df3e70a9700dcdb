"""The network between a connected worker and its gateway drops packets, and both live on.

`make kills-connect` runs this: a dead connection is noticed after 50 seconds.
"""

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.connect_fleet import fleet
from tests.acceptance.full_size import FULL, SEEDS
from tests.namespaces import Network, can_make_namespaces
from tests.processes import Server, wait_until
from tests.sdk.client import Api
from tests.sdk.connect_worker import CONNECTED, ConnectWorker, ready_workers
from tests.servers import Postgres, Valkey

pytestmark = [
    pytest.mark.skipif(not FULL, reason="takes two minutes: make kills-connect"),
    pytest.mark.skipif(not can_make_namespaces(), reason="no network namespaces here"),
]
# five heartbeats of ten seconds, two for the close, nine for the worker to be heard of
NOTICED = 50 + 2 + 9
SHORT = 12
RUNS, TAKES, PATIENCE = 200, 0.3, 300.0


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as made:
        yield made


@pytest.mark.parametrize("kind", CONNECTED)
def test_a_silent_network_is_noticed(network: Network, tmp_path: Path, kind: str) -> None:
    gate, later = tmp_path / "gate", tmp_path / "later"
    log = tmp_path / "server.log"
    where = ("--host", "0.0.0.0", "--db", str(tmp_path / "x.db"), "--no-discovery")
    server = Server("dev", *where, log=log, env={"INNGEST_RETRY_INTERVAL": "1"})
    url = f"http://{network.address}:{server.port}"
    far = ConnectWorker(url, tmp_path, kind=kind, instance="far", prefix=network.prefix)
    near = ConnectWorker(server.url, tmp_path, kind=kind, instance="near")
    api = Api(server.url)

    def begun(run_of: str) -> list[str]:
        (run,) = api.runs(run_of)
        return [line["instance"] for line in near.effects(run["run_id"])]

    with server, far, near:
        server.start()
        far.start()
        first = api.send(f"{kind}/held", {"gate": str(gate)})
        wait_until(lambda: begun(first) == ["far"], 20, "the step begun")
        network.carry(False)
        cut = api.send(f"{kind}/held", {"gate": str(gate)})
        with pytest.raises(AssertionError):  # packets are sent again when the network is back
            wait_until(lambda: begun(cut), SHORT, "a step over the cut network")
        network.carry(True)
        wait_until(lambda: begun(cut) == ["far"], 30, "the step begun late")
        gate.touch()
        for event in (first, cut):
            assert api.run(event)["output"] == {"held": "far"}
        second = api.send(f"{kind}/held", {"gate": str(later)})
        wait_until(lambda: begun(second) == ["far"], 20, "the step begun")
        near.start()
        network.carry(False)
        wait_until(lambda: begun(second) == ["far", "near"], NOTICED + 10, "the other has it")
        later.touch()
        assert api.run(second)["output"] == {"held": "near"}
        network.carry(True)
        wait_until(lambda: "far" in ready_workers(server.url), 90, "the worker is back")
        assert {line["attempt"] for line in near.effects()} == {0}
        assert len(near.effects()) == 4


@pytest.mark.parametrize("kind", CONNECTED)
@pytest.mark.parametrize("form", ["embedded", "several"])
@pytest.mark.parametrize("seed", SEEDS)
def test_runs_survive_a_silent_network(
    network: Network,
    form: str,
    kind: str,
    seed: int,
    postgres: Postgres,
    valkey: Valkey,
    tmp_path: Path,
) -> None:
    """A short silence costs nothing; in a long one, the other worker gets what the far one had."""
    chance = random.Random(seed)
    urls = None if form == "embedded" else (postgres.create_database(), valkey.url)

    def be_silent(seconds: float) -> None:
        network.carry(False)
        threading.Event().wait(seconds)
        network.carry(True)

    with fleet(tmp_path, kind, urls, {}, network) as parts:
        with parts.load(RUNS, TAKES, chance):
            parts.progress(RUNS)
            be_silent(SHORT)
            parts.settle()  # TCP sends again as late as after another silence of that length
            parts.hit(lambda: be_silent(NOTICED + 15))
            parts.progress(RUNS)
        parts.check(TAKES, PATIENCE)
