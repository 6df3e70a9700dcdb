"""Gateways and connected workers, for tests that hit them: what they were sent, and what ran."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import requests

from tests.acceptance.raw_app import (
    Cut,
    Effect,
    all_completed,
    only_where_cut,
    post_events,
    seed,
    show,
)
from tests.namespaces import Network
from tests.processes import LOOPBACK, START_SECONDS, Process, Server, Tool, wait_until
from tests.sdk.connect_worker import ConnectWorker
from tests.tcp import Balancer

STEPS = 5
# between the begin of a step and the commit of its answer, beside what its body takes
_LONGEST = 4.0
# a server that is alone leaves what it had to its workers for 45 s after its start
_STANDS = 150.0
WORKERS = 2
_AT_ONCE, _MOST_UNDER_WAY = 5, 50  # runs


class Fleet:
    """One embedded server, or two API processes and a worker of ours; connected workers of an app.

    The workers and the senders of events come through a balancer; with a network, the first
    worker comes over that.
    """

    def __init__(
        self,
        folder: Path,
        kind: str,
        urls: tuple[str, str] | None,
        env: dict[str, str],
        network: Network | None = None,
    ) -> None:
        self._folder, self.kind, self._network = folder, kind, network
        given: dict[str, str | None] = {"INNGEST_DEV": "1", "INNGEST_RETRY_INTERVAL": "1", **env}
        self.engine: Tool | None = None
        if urls is None:
            args = ("--db", str(folder / "x.db"), "--no-discovery")
            self.gateways = [Server("dev", *args, log=folder / "dev.log", env=given)]
        else:
            given |= {"DATABASE_URL": urls[0], "REDIS_URL": urls[1]}
            self.gateways = [
                Server("api", log=folder / f"api-{number}.log", env=given) for number in (1, 2)
            ]
            self.engine = Tool("worker", log=folder / "engine.log", env=given)
        host = LOOPBACK if network is None else network.address
        self.balancer = Balancer([one.port for one in self.gateways], host)
        self.url = f"http://{host}:{self.balancer.port}"
        self.workers: list[ConnectWorker] = []
        self.sent: list[str] = []
        self.cuts: list[Cut] = []

    def start(self) -> None:
        """Start all parts, and wait until they are ready."""
        if self.engine is not None:
            self.engine.start()
        for gateway in self.gateways:
            gateway.start()
        for _ in range(WORKERS):
            self.add_worker()
        wait_until(self._is_ready, START_SECONDS, "our own worker is ready")

    def _is_ready(self) -> bool:
        return bool(requests.get(f"{self.url}/health", timeout=5).json()["workers"])

    def add_worker(self, version: str | None = None) -> ConnectWorker:
        """Start one more connected worker, and wait until it is ready."""
        far = None if self.workers else self._network
        made = ConnectWorker(
            self.url,
            self._folder,
            {"APP_VERSION": version},
            kind=self.kind,
            instance=f"worker-{len(self.workers) + 1}",
            prefix=() if far is None else far.prefix,
        )
        self.workers.append(made)
        return made.start()

    @contextmanager
    def load(self, count: int, takes: float, chance: random.Random) -> Iterator[None]:
        """Send events in the background, whatever happens to the gateways.

        So many at least, and until the block ends; a few runs are always under way.
        """
        over = threading.Event()
        most = min(count // 2, _MOST_UNDER_WAY) * STEPS
        event = {"name": f"{self.kind}/five", "data": {"takes": takes}}

        def send() -> None:
            while len(self.sent) < count or not over.is_set():
                self.sent += post_events(self.url, seed(chance), [event] * _AT_ONCE)
                wait_until(lambda: self._left() <= most, 300, "steps to run")

        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(send)
            try:
                yield
            finally:
                over.set()
            sending.result()

    def _left(self) -> int:
        """How many steps of the runs that were begun have not run."""
        return len(self.sent) * STEPS - len({(one.run, one.step) for one in self.effects()})

    def hit(self, action: Callable[[], object]) -> None:
        """Do something that cuts calls off, and note when."""
        before = time.time()
        action()
        self.cuts.append((before, time.time()))

    def effects(self) -> list[Effect]:
        """What ran so far."""
        lines = self.workers[0].effects()
        return [Effect(line["run_id"], line["step"], line["at"]) for line in lines]

    def progress(self, count: int = 1) -> None:
        """Wait until so many more steps run than have run when this is called."""
        before = len(self.effects())
        wait_until(lambda: len(self.effects()) >= before + count, _STANDS, "a step to run")

    def settle(self) -> None:
        """Wait until all steps that have run until now are answered: each run has gone on."""
        now, over = time.time(), set[str]()

        def answered() -> bool:
            last = {one.run: one.at for one in self.effects()}  # lines are in order
            left = [run for run, at in last.items() if at < now and run not in over]
            over.update(run for run in left if show(self.url, run)["status"] == "completed")
            return over.issuperset(left)

        wait_until(answered, _STANDS, "the steps to be answered")

    def check(self, takes: float, timeout: float) -> int:
        """Wait for all runs; say how many steps ran again. No attempt may be used up."""
        try:
            all_completed(self.url, self.sent, STEPS, timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.logs()}") from None
        lines = self.workers[0].effects()
        assert {line["attempt"] for line in lines} == {0}
        repeats = only_where_cut(self.effects(), self.cuts, takes + _LONGEST)
        assert len(lines) == len(self.sent) * STEPS + repeats
        return repeats

    def logs(self) -> str:
        """The ends of all logs."""
        parts: list[Process] = [*self.gateways, *self.workers]
        parts += [] if self.engine is None else [self.engine]
        return "\n----\n".join(f"{part.log}\n{part.log_tail(30)}" for part in parts)


@contextmanager
def fleet(
    folder: Path,
    kind: str,
    urls: tuple[str, str] | None,
    env: dict[str, str],
    network: Network | None = None,
) -> Iterator[Fleet]:
    """Make and start a fleet, and kill it at the end."""
    made = Fleet(folder, kind, urls, env, network)
    with ExitStack() as stack:
        stack.enter_context(made.balancer)
        for part in made.gateways:
            stack.callback(part.kill9)
        if made.engine is not None:
            stack.callback(made.engine.kill9)
        try:
            made.start()
            yield made
        finally:
            for worker in made.workers:
                worker.kill9()
