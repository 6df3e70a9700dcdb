"""Single messages between a connected worker and its gateway are lost.

`make kills-connect` runs this: workers extend a lease, and send an answer again, after half a
minute.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from inngest_py.domain.connect.messages_pb2 import GatewayMessageType as Kind
from tests.acceptance.full_size import FULL
from tests.lossy_gateway import LossyGateway
from tests.processes import Server, wait_until
from tests.sdk.client import Api
from tests.sdk.connect_worker import CONNECTED, ConnectWorker

pytestmark = pytest.mark.skipif(not FULL, reason="takes minutes: make kills-connect")
ALL = 1_000
LEASE = 120  # seconds


class Bench:
    """A server, a gateway that loses messages, and a worker whose steps wait for a file."""

    def __init__(self, folder: Path, kind: str, lossy: LossyGateway) -> None:
        self.kind, self.lossy, self.gate = kind, lossy, folder / "gate"
        args = ("--db", str(folder / "x.db"), "--no-discovery", "--retry-interval", "1")
        self.server = Server("dev", *args, "--connect-url", lossy.url, log=folder / "server.log")
        lossy.to_port = self.server.port
        self.worker = ConnectWorker(self.server.url, folder, kind=kind)
        self.api = Api(self.server.url)

    def begin(self) -> str:
        """Begin a run, and wait until its step has begun."""
        event = self.api.send(f"{self.kind}/held", {"gate": str(self.gate)})
        wait_until(lambda: self.attempts() == [0], 15, "the step begun")
        return event

    def attempts(self) -> list[int]:
        """The attempts in which the step has begun."""
        return [one["attempt"] for one in self.worker.effects() if one["step"] == "held"]

    def loses(self, kind: Kind) -> None:
        """Wait until what is to be lost of a kind is."""
        wait_until(lambda: self.lossy.has_lost(kind), 15, f"the loss of kind {kind}")

    def goes(self, kind: Kind, count: int = 1, seconds: float = 90) -> None:
        """Wait until so many more messages of a kind have been sent."""
        before = self.lossy.seen[kind]
        wait_until(lambda: self.lossy.seen[kind] >= before + count, seconds, f"kind {kind}")

    def completes(self, event: str, seconds: float = 60) -> None:
        """Wait until the run has completed."""
        run = self.api.run(event, timeout=seconds)
        assert run["status"] == "Completed", f"{self.server.log_tail()}\n{self.worker.log_tail()}"

    def others_run(self) -> None:
        """Run another function of this worker."""
        self.completes(self.api.send(f"{self.kind}/noop"), 10)


@pytest.fixture(params=CONNECTED)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    with LossyGateway() as lossy:
        made = Bench(tmp_path, request.param, lossy)
        with made.server.start(), made.worker.start():
            yield made


def test_the_acknowledgement_of_an_extended_lease_is_lost(bench: Bench) -> None:
    """In the reference, the worker's next extension is refused (inngest #4687)."""
    event = bench.begin()
    bench.lossy.lose(Kind.WORKER_REQUEST_EXTEND_LEASE_ACK, 1)
    bench.goes(Kind.WORKER_REQUEST_EXTEND_LEASE, 3, LEASE)
    bench.gate.touch()
    bench.completes(event)
    assert bench.attempts() == [0]


def test_the_acknowledgement_of_an_answer_is_lost(bench: Bench) -> None:
    event = bench.begin()
    bench.lossy.lose(Kind.WORKER_REPLY_ACK, 1)
    bench.gate.touch()
    bench.completes(event)
    bench.others_run()
    assert bench.attempts() == [0]


def test_an_answer_is_lost(bench: Bench) -> None:
    """The Python SDK sends it again. That of TypeScript does not, and extends no lease of it: the
    attempt fails, and the next one finds the step, which was reported by a checkpoint.
    """
    event = bench.begin()
    bench.lossy.lose(Kind.WORKER_REPLY, 1)
    bench.gate.touch()
    bench.loses(Kind.WORKER_REPLY)
    bench.others_run()
    bench.completes(event, LEASE + 60)
    assert bench.attempts() == [0]


def test_a_request_is_lost(bench: Bench) -> None:
    """No worker has acknowledged it: it is sent again when its time is over, in no new attempt."""
    bench.lossy.lose(Kind.GATEWAY_EXECUTOR_REQUEST, 1)
    event = bench.api.send(f"{bench.kind}/held", {"gate": str(bench.gate)})
    bench.loses(Kind.GATEWAY_EXECUTOR_REQUEST)
    bench.others_run()
    bench.gate.touch()
    bench.completes(event, LEASE + 30)
    assert bench.attempts() == [0]


def test_a_worker_that_acknowledges_and_is_not_heard_of_again(bench: Bench) -> None:
    """That was an attempt. The next one begins when the lease is over; nobody else notices."""
    event = bench.begin()
    bench.lossy.lose(Kind.WORKER_REQUEST_EXTEND_LEASE, ALL)
    bench.goes(Kind.WORKER_REQUEST_EXTEND_LEASE)
    bench.others_run()
    wait_until(lambda: bench.attempts() == [0, 1], LEASE + 30, "the next attempt")
    bench.gate.touch()
    bench.completes(event)
    assert bench.attempts() == [0, 1]
