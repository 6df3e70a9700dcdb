"""The Python SDK as a connected worker: what apps that are called over HTTP can do, and its own."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from inngest_py.domain.access import signatures
from tests.acceptance.full_size import WITH_KILLS
from tests.processes import ROOT, Process, Server, wait_until

from . import node_runtime
from .client import Api
from .connect_worker import CONNECTED, KIND, ConnectWorker, ready_workers


@pytest.fixture(scope="module")
def connect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("connect")
    args = ("--db", str(folder / "server.db"), "--no-discovery", "--retry-interval", "1")
    with Server("dev", *args, log=folder / "server.log") as server:
        yield server.start()


@pytest.fixture(scope="module")
def worker(
    connect_server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ConnectWorker]:
    folder: Path = tmp_path_factory.mktemp("worker")
    with ConnectWorker(connect_server.url, folder).start() as worker:
        yield worker


def test_two_steps_and_a_sleep(connect_server: Server, worker: ConnectWorker) -> None:
    api = Api(connect_server.url)
    run = api.run(api.send(f"{KIND}/sleep"))
    assert run["status"] == "Completed", worker.log_tail()
    assert run["output"] == "rested"
    assert [one["step"] for one in worker.effects(run["run_id"])] == ["before", "after"]


def _of_the_document(language: str) -> str:
    text = (ROOT / "docs" / "connect.md").read_text()
    return text.partition(f"```{language}\n")[2].partition("```")[0]


@pytest.mark.parametrize(("language", "app"), [("python", "shop"), ("javascript", "shop-ts")])
def test_the_documents_workers_work(
    connect_server: Server, tmp_path: Path, language: str, app: str
) -> None:
    script = tmp_path / ("worker.py" if language == "python" else "worker.mjs")
    script.write_text(_of_the_document(language))
    (tmp_path / "node_modules").symlink_to(node_runtime.installed("v4") / "node_modules")
    runs_it = sys.executable if language == "python" else str(node_runtime.NODE)
    api, env = Api(connect_server.url), {"INNGEST_DEV": connect_server.url}
    with Process([runs_it, str(script)], tmp_path / "worker.log", env).start() as started:
        wait_until(lambda: api.functions(app), 30, "the worker is connected")
        run = api.run(api.send(f"{app}/order.placed"))
        assert (run["status"], run["output"]) == ("Completed", "a parcel"), started.log_tail()


def test_inspection(connect_server: Server, worker: ConnectWorker) -> None:
    url = f"{connect_server.url}/v0/connect/envs/dev"

    def ready() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = requests.get(f"{url}/conns", timeout=5).json()["data"]
        return [one for one in found if one["status"] == 1]

    (one,) = wait_until(ready, 10, "the connection is ready")
    assert one["instance_id"] == "worker-1"
    assert (one["sdk_language"], one["attributes"]["os"]) == ("py", "linux")
    ((group, app_id),) = one["synced_worker_groups"].items()
    shown = requests.get(f"{url}/groups/{group}", timeout=5).json()["data"]
    assert (shown["app_id"], shown["conns"], shown["synced"]) == (app_id, [one["id"]], True)
    assert requests.get(f"{url}/groups/unknown", timeout=5).status_code == 404


@pytest.mark.parametrize("kind", CONNECTED)
def test_production_asks_for_keys(tmp_path: Path, kind: str) -> None:
    """The worker has the new key first, and the server's old one as its fallback."""
    old, new = "signkey-prod-12345678", "00aa11bb22cc33dd"
    args = ("--database-url", f"sqlite:///{tmp_path / 'x.db'}", "--signing-key", old)
    keyed = {"INNGEST_DEV": None, "INNGEST_EVENT_KEY": "an-event-key"}
    with Server("start", *args, log=tmp_path / "server.log", env=keyed) as server:
        server.start()
        assert requests.post(f"{server.url}/v0/connect/start", timeout=5).status_code == 401
        assert requests.post(f"{server.url}/v0/connect/flush", timeout=5).status_code == 401
        env = {"INNGEST_DEV": "0", "INNGEST_BASE_URL": server.url, "NODE_ENV": "production"}
        keys = {"INNGEST_SIGNING_KEY": new, "INNGEST_SIGNING_KEY_FALLBACK": old}
        env |= {"INNGEST_EVENT_KEY": "an-event-key", **keys}
        api = Api(server.url, "an-event-key", signatures.bearer(old))
        with ConnectWorker(server.url, tmp_path, env, kind=kind) as worker:
            Process.start(worker)
            wait_until(lambda: api.functions(kind), 30, "the worker is connected")
            run = api.run(api.send(f"{kind}/sequential"))
            assert run["status"] == "Completed", worker.log_tail()


class Bench:
    """A server of its own with workers of one kind, and runs whose step waits for a file."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder, self.kind, self.gate = folder, kind, folder / "gate"
        args = ("--db", str(folder / "server.db"), "--no-discovery", "--retry-interval", "1")
        self.server = Server("dev", *args, log=folder / "server.log")
        self.api = Api(self.server.url)
        self.workers: list[ConnectWorker] = []

    def worker(self, **env: str) -> ConnectWorker:
        """Start one more worker."""
        made = ConnectWorker(
            self.server.url,
            self.folder,
            env,
            kind=self.kind,
            instance=f"worker-{len(self.workers) + 1}",
        )
        self.workers.append(made)
        return made.start()

    def begin(self) -> str:
        """Begin a run whose step waits for the gate."""
        return self.api.send(f"{self.kind}/held", {"gate": str(self.gate)})

    def begun(self) -> list[str]:
        """The workers that have begun such a step, one entry for each time."""
        lines = self.workers[0].effects()
        return [one["instance"] for one in lines if one["step"] == "held"]

    def open(self) -> None:
        """Let the steps end."""
        self.gate.touch()

    def log(self) -> str:
        """The ends of all logs, for messages of failed tests."""
        tails = [self.server.log_tail(40), *(one.log_tail(20) for one in self.workers)]
        return "\n----\n".join(tails)

    def close(self) -> None:
        """Kill everything."""
        for one in (*self.workers, self.server):
            one.kill9()


@pytest.fixture(params=CONNECTED)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, request.param)
    try:
        made.server.start()
        yield made
    finally:
        made.close()


def test_a_worker_gets_no_more_than_it_takes(bench: Bench) -> None:
    bench.worker(CAPACITY="2")
    events = [bench.begin() for _ in range(5)]
    wait_until(lambda: len(bench.begun()) == 2, 15, "two steps begun")
    other = bench.api.send(f"{bench.kind}/noop")
    assert len(bench.begun()) == 2
    bench.open()
    runs = [bench.api.run(event) for event in (*events, other)]
    assert [run["status"] for run in runs] == ["Completed"] * 6, bench.log()
    assert len(bench.begun()) == 5


def test_ten_runs_at_once_end_and_wedge_nothing(bench: Bench) -> None:
    """In the reference, such bursts end as "The worker stopped responding" and leave the queue
    stuck for hours (inngest #3549, #2478).
    """
    worker = bench.worker()
    events = [bench.begin() for _ in range(10)]
    wait_until(lambda: len(bench.begun()) == 10, 15, "ten steps begun at the same time")
    events += [bench.api.send(f"{bench.kind}/parallel") for _ in range(10)]
    runs = [bench.api.run(event) for event in events[10:]]
    bench.open()
    runs += [bench.api.run(event) for event in events[:10]]
    assert [run["status"] for run in runs] == ["Completed"] * 20, bench.log()
    assert {one["attempt"] for one in worker.effects()} == {0}
    assert len(bench.begun()) == 10
    assert bench.api.run(bench.api.send(f"{bench.kind}/noop"))["status"] == "Completed"
    assert "stopped responding" not in bench.log()


def test_what_a_killed_worker_had_goes_to_another_within_ten_seconds(bench: Bench) -> None:
    first = bench.worker()
    event = bench.begin()
    wait_until(lambda: bench.begun() == ["worker-1"], 15, "the step begun")
    bench.worker()
    first.kill9()
    wait_until(lambda: bench.begun() == ["worker-1", "worker-2"], 11, "the other has begun it")
    bench.open()
    run = bench.api.run(event)
    assert run["output"] == {"held": "worker-2"}, bench.log()
    assert {one["attempt"] for one in first.effects()} == {0}


def test_without_a_worker_a_run_waits_and_says_why(bench: Bench) -> None:
    bench.open()
    first = bench.worker()
    assert first.terminate() in (0, 1)
    event = bench.begin()

    def why() -> str:
        (run,) = bench.api.runs(event)
        url = f"{bench.server.url}/v1/runs/{run['run_id']}/why"
        found = requests.get(url, timeout=5).json()
        return str(found)

    wait_until(lambda: "connect_no_healthy_connection" in why(), 10, "the reason")
    bench.worker()
    run = bench.api.run(event)
    assert (run["status"], run["output"]) == ("Completed", {"held": "worker-2"})


def test_an_answer_that_is_too_large_fails_its_run_alone(bench: Bench) -> None:
    """It closes the connection, over which the worker would send it again and again."""
    worker = bench.worker()
    other = bench.begin()
    wait_until(lambda: bench.begun() == ["worker-1"], 15, "the step begun")
    run = bench.api.run(bench.api.send(f"{bench.kind}/oversized"), timeout=60)
    assert (run["status"], run["output"]["error"]["name"]) == ("Failed", "output_too_large")
    assert [one["attempt"] for one in worker.effects(run["run_id"])] == [0, 1]
    bench.open()
    assert bench.api.run(other, timeout=60)["status"] == "Completed", bench.log()
    assert bench.begun() == ["worker-1"]


def test_a_worker_that_stops_ends_its_calls_and_gets_no_more(bench: Bench) -> None:
    first = bench.worker()
    event = bench.begin()
    wait_until(lambda: bench.begun() == ["worker-1"], 15, "the step begun")
    bench.worker()
    os.kill(first.pid, signal.SIGTERM)
    later = bench.begin()
    wait_until(lambda: "worker-2" in bench.begun(), 15, "the other works")
    bench.open()
    assert bench.api.run(event)["output"] == {"held": "worker-1"}, bench.log()
    assert bench.api.run(later)["output"] == {"held": "worker-2"}, bench.log()
    assert sorted(bench.begun()) == ["worker-1", "worker-2"]
    wait_until(lambda: not first.running, 20, "the worker stopped")


@pytest.mark.parametrize("bench", [KIND], indirect=True)
def test_a_worker_connects_again_each_time_its_gateway_comes_back(bench: Bench) -> None:
    """Python workers have stayed away after a gateway had gone (inngest-py #287).

    Slow: a worker waits for some seconds before it connects again.
    """
    worker = bench.worker()
    for stop in (bench.server.terminate, bench.server.kill9, bench.server.terminate):
        stop()
        bench.server.start()
        run = bench.api.run(bench.api.send(f"{bench.kind}/sequential"), timeout=60)
        assert run["status"] == "Completed", bench.log()
    assert {one["attempt"] for one in worker.effects()} == {0}


@WITH_KILLS
def test_the_documents_worker_outlives_a_long_outage(tmp_path: Path) -> None:
    """The Python SDK gives up half a minute after the server has gone (inngest-py #384)."""
    script = tmp_path / "worker.py"
    script.write_text(_of_the_document("python"))
    args = ("--db", str(tmp_path / "server.db"), "--no-discovery")
    with Server("dev", *args, log=tmp_path / "server.log") as server:
        api = Api(server.start().url)
        env = {"INNGEST_DEV": server.url, "PYTHONUNBUFFERED": "1"}
        with Process([sys.executable, str(script)], tmp_path / "worker.log", env).start() as worker:
            wait_until(lambda: ready_workers(server.url), 30, "the worker is connected")
            server.kill9()
            wait_until(lambda: "connects again" in worker.log.read_text(), 90, "it has given up")
            server.start()
            run = api.run(api.send("shop/order.placed"))
            assert run["status"] == "Completed", worker.log_tail()


def test_a_call_outlives_the_server(bench: Bench) -> None:
    """Slow: a worker waits before it connects again, and before it sends its answer again."""
    bench.worker()
    event = bench.begin()
    wait_until(lambda: bench.begun() == ["worker-1"], 15, "the step begun")
    assert bench.server.terminate() == 0, bench.log()
    bench.server.start()
    bench.open()
    run = bench.api.run(event, timeout=60)
    assert run["output"] == {"held": "worker-1"}, bench.log()
    assert bench.begun() == ["worker-1"], bench.log()


def test_a_call_outlives_a_killed_server(bench: Bench) -> None:
    """Slow: a worker waits before it connects again, and before it sends its answer again."""
    bench.worker()
    event = bench.begin()
    wait_until(lambda: bench.begun() == ["worker-1"], 15, "the step begun")
    bench.server.kill9()
    bench.server.start()
    bench.open()
    run = bench.api.run(event, timeout=60)
    assert run["output"] == {"held": "worker-1"}, bench.log()
    assert bench.begun() == ["worker-1"], bench.log()


def test_a_new_version_gets_the_runs_and_the_old_one_does_not_come_back(bench: Bench) -> None:
    bench.worker(APP_VERSION="1")
    bench.worker(APP_VERSION="2")
    first = bench.begin()
    wait_until(lambda: bench.begun() == ["worker-2"], 15, "the new version has begun it")
    bench.worker(APP_VERSION="1")  # as one that lost its connection and comes back
    second = bench.begin()
    wait_until(lambda: bench.begun() == ["worker-2"] * 2, 15, "the new version goes on")
    bench.workers[1].kill9()
    wait_until(lambda: "worker-1" in bench.begun(), 15, "without it, the old one works")
    bench.open()
    for event in (first, second):
        assert bench.api.run(event)["status"] == "Completed", bench.log()


def test_a_cancelled_run_makes_room(bench: Bench) -> None:
    """Slow: the worker is told at its next extension, after half a minute, to drop what it has."""
    bench.worker(CAPACITY="1")
    event = bench.begin()
    wait_until(lambda: len(bench.begun()) == 1, 15, "the step begun")
    (run,) = bench.api.runs(event)
    cancelled = requests.delete(f"{bench.server.url}/v1/runs/{run['run_id']}", timeout=5)
    assert cancelled.ok, cancelled.text
    other = bench.begin()
    wait_until(lambda: len(bench.begun()) == 2, 45, "the next has begun")
    bench.open()
    assert bench.api.run(other)["status"] == "Completed", bench.log()
    assert bench.api.run(event)["status"] == "Cancelled"


def test_a_drained_worker_ends_its_calls_and_gets_no_more(bench: Bench) -> None:
    bench.worker()
    event = bench.begin()
    wait_until(lambda: len(bench.begun()) == 1, 15, "the step begun")
    (run,) = bench.api.runs(event)
    url = f"{bench.server.url}/api/v1/connections"

    def shown() -> dict[str, Any]:
        (one,) = requests.get(url, params={"app": bench.kind}, timeout=5).json()["data"]
        found: dict[str, Any] = one
        return found

    one = wait_until(lambda: shown() if shown()["runs"] else None, 10, "what the worker runs")
    (call,) = one["runs"]
    assert (call["id"], call["function"]) == (run["run_id"], f"{bench.kind}-held")
    assert (one["instance"], one["status"], one["in_flight"]) == ("worker-1", "ready", 1)
    assert requests.post(f"{url}/{one['id']}/drain", timeout=5).json()["data"]["status"]
    wait_until(lambda: shown()["status"] == "draining", 5, "it is drained")
    later = bench.begin()
    (waiting,) = wait_until(lambda: bench.api.runs(later), 10, "the second run")
    why = f"{bench.server.url}/v1/runs/{waiting['run_id']}/why"
    wait_until(lambda: "drained" in requests.get(why, timeout=5).text, 10, "the reason")
    bench.open()
    wait_until(lambda: not shown()["in_flight"], 15, "it has ended its call")
    assert len(bench.begun()) == 1
    assert requests.post(f"{url}/{one['id']}/resume", timeout=5).ok
    for begun in (event, later):
        assert bench.api.run(begun)["output"] == {"held": "worker-1"}, bench.log()
    assert requests.post(f"{url}/nobody/drain", timeout=5).status_code == 404
