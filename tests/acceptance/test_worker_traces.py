"""Spans that API and worker send to a collector, in real processes."""

import gzip
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from inngest_py.domain.values.ids import ulid_hex
from tests.acceptance.test_workers import GRACE, Installation, api, installation
from tests.endpoint import STEPS, Endpoint, send, statuses
from tests.processes import Server, wait_until
from tests.provider import Answer, Provider, Received

__all__ = ["api", "installation"]
RUNS = 5


def spans(request: Received) -> Iterator[Span]:
    body = request.body
    if request.headers.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in resource.scope_spans:
            yield from scope.spans


@pytest.mark.parametrize("pool", ["prefork", "gevent"])
def test_collector_gets_every_span_of_every_run(installation: Installation, pool: str) -> None:
    names: Counter[str] = Counter()
    traces: set[str] = set()

    def collect(request: Received) -> Answer:
        for span in spans(request):
            names[span.name] += 1
            traces.add(span.trace_id.hex())
        return Answer(headers={"Content-Type": "application/x-protobuf"}, body=b"")

    url = installation.api.url
    with (
        Provider(collect) as collector,
        installation.worker("one", pool, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as worker,
    ):
        worker.start().wait_ready(lambda: installation.workers() == 1)
        send(url, RUNS)
        wait_until(lambda: statuses(url) == {"completed": RUNS}, 60, "all runs to complete")
        assert worker.terminate() == 0
        assert names["POST app"] == RUNS * (STEPS + 1)
        assert sum(n for name, n in names.items() if name.startswith("run ")) == RUNS
        assert sum(n for name, n in names.items() if name.startswith("inngest.")) >= RUNS
        assert traces == {ulid_hex(run) for run, _ in installation.endpoint.calls}


def cutting(collector: Provider) -> dict[str, str]:
    """Make the environment of who sends nothing before its end, and cuts calls off then."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "600000",
        "INNGEST_GRACE_SECONDS": "0.5",
    }


@pytest.mark.parametrize("answers", [True, False])
@pytest.mark.parametrize("stop", [signal.SIGQUIT, signal.SIGTERM])
def test_a_stop_that_cuts_calls_sends_the_spans_that_are_left(
    installation: Installation, stop: signal.Signals, answers: bool
) -> None:
    """But it does not wait for a collector that is silent."""
    names: Counter[str] = Counter()
    go_on = threading.Event()

    def collect(request: Received) -> Answer:
        names.update(span.name for span in spans(request))
        if not answers:
            go_on.wait(60)
        return Answer(headers={"Content-Type": "application/x-protobuf"}, body=b"")

    endpoint = installation.endpoint
    endpoint.hold = 2
    with (
        Provider(collect) as collector,
        installation.worker("one", "gevent", 4, **cutting(collector)) as worker,
    ):
        worker.start().wait_ready(lambda: installation.workers() == 1)
        send(installation.api.url)
        wait_until(lambda: [number for _, number in endpoint.calls] == [0, 1, 2], 30)
        assert not names
        os.kill(worker.pid, stop)
        wait_until(lambda: not worker.running, GRACE / 2, "the worker to stop")
        assert names["POST app"] == 2
        go_on.set()
    endpoint.hold = None
    endpoint.go.set()


def test_an_embedded_server_that_cuts_calls_sends_its_spans(tmp_path: Path) -> None:
    names: Counter[str] = Counter()

    def collect(request: Received) -> Answer:
        names.update(span.name for span in spans(request))
        return Answer(headers={"Content-Type": "application/x-protobuf"}, body=b"")

    where = ("--dev", "--database-url", f"sqlite:///{tmp_path / 'x.db'}")
    with (
        Provider(collect) as collector,
        Endpoint() as endpoint,
        Server("start", *where, log=tmp_path / "log", env=cutting(collector)) as server,
    ):
        endpoint.hold = 2
        server.start()
        endpoint.register(server.url)
        send(server.url)
        wait_until(lambda: [number for _, number in endpoint.calls] == [0, 1, 2], 30)
        os.kill(server.pid, signal.SIGTERM)
        wait_until(lambda: not server.running, GRACE / 2, "the server to stop")
        assert names["POST app"] == 2
