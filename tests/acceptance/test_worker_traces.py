"""Spans that API and worker send to a collector, in real processes."""

import gzip
from collections import Counter

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from inngest_py.domain.ids import ulid_hex
from tests.acceptance.test_workers import Installation, installation
from tests.endpoint import STEPS, send, statuses
from tests.processes import wait_until
from tests.provider import Answer, Provider, Received

__all__ = ["installation"]
RUNS = 5


@pytest.mark.parametrize("pool", ["prefork", "gevent"])
def test_a_collector_gets_every_span_of_every_run(installation: Installation, pool: str) -> None:
    names: Counter[str] = Counter()
    traces: set[str] = set()

    def collect(request: Received) -> Answer:
        body = request.body
        if request.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                names.update(span.name for span in scope.spans)
                traces.update(span.trace_id.hex() for span in scope.spans)
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
