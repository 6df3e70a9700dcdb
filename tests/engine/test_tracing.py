"""Spans of runs, on both databases: one trace, the right parents, W3C context in and out."""

import json
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from inngest_py import observe, tracing
from inngest_py.domain.runs import traces
from inngest_py.domain.values.ids import ulid_hex
from inngest_py.engine.upkeep.due_items import DueItems
from inngest_py.engine.work import end_run
from inngest_py.storage.db.session import Database
from tests.api.conftest import Service
from tests.engine.harness import Engine, sequence
from tests.factories import reply

GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Traced(Service):
    """A server that keeps its spans, and the headers that its requests had."""

    def __init__(self, db: Database) -> None:
        super().__init__(db)
        self.kept = InMemorySpanExporter()
        self.spans = tracing.make({})
        self.spans.provider.add_span_processor(SimpleSpanProcessor(self.kept))
        self.spans.connect()
        self.headers: list[str] = []
        send = self.engine.sdk.send

        def seen(method: str, url: str, headers: Any, *rest: Any) -> Any:
            self.headers.append(headers["traceparent"])
            return send(method, url, headers, *rest)

        self.engine.sdk.send = seen  # type: ignore[method-assign]

    def named(self, prefix: str) -> list[ReadableSpan]:
        return [one for one in self.kept.get_finished_spans() if one.name.startswith(prefix)]


@pytest.fixture
def traced(db: Database) -> Iterator[Traced]:
    made = Traced(db)
    yield made
    made.spans.close()


def ids(span: ReadableSpan) -> tuple[str, str, str | None]:
    context = span.get_span_context()
    assert context is not None
    parent = f"{span.parent.span_id:016x}" if span.parent is not None else None
    return f"{context.trace_id:032x}", f"{context.span_id:016x}", parent


@pytest.mark.parametrize("given", [None, GIVEN])
def test_a_run_is_one_trace_from_its_event_to_its_calls(traced: Traced, given: str | None) -> None:
    headers = {} if given is None else {"traceparent": given}
    traced.send({"name": "a/b"}, headers=headers)
    traced.engine.drain()
    run_id = traced.engine.sdk.requests[0]["ctx"]["run_id"]
    trace = given[3:35] if given else ulid_hex(run_id)
    [run], [task], calls = (traced.named(name) for name in ("run ", "inngest.", "POST "))
    assert ids(run) == (trace, traces.span_id(run_id), given[36:52] if given else None)
    assert ids(task)[0] == trace and ids(task)[2] == ids(run)[1]
    assert [ids(call)[::2] for call in calls] == [(trace, ids(task)[1])] * 3
    assert traced.headers == [f"00-{trace}-{ids(call)[1]}-01" for call in calls]
    assert (run.name, run.attributes and run.attributes["inngest.status"]) == (
        "run app-fn",
        "completed",
    )
    assert task.name == "inngest.start"
    assert task.attributes and task.attributes["inngest.run_id"] == run_id


def test_a_call_names_its_step_its_attempt_and_its_host(traced: Traced) -> None:
    answers = iter([reply(500, {"message": "no"})])
    rest = traced.engine.sdk.script
    traced.engine.sdk.script = lambda *asked: next(answers, None) or rest(*asked)
    traced.send({"name": "a/b"})
    traced.engine.drain()
    traced.engine.now += timedelta(hours=1)
    DueItems().run_once(traced.engine.ctx)
    traced.engine.drain()
    found = [dict(call.attributes or {}) for call in traced.named("POST ")]
    assert [one["inngest.attempt"] for one in found] == [0, 1, 0, 0]
    assert [one.get("inngest.step") for one in found] == [None, "one", "two", None]
    assert {(one["server.address"], one["server.port"]) for one in found} == {("localhost", 1)}
    assert all("inngest.attempt" in (task.attributes or {}) for task in traced.named("inngest."))


def test_failures_are_errors_and_cancelled_runs_have_a_span_too(traced: Traced) -> None:
    traced.engine.sdk.script = lambda *_: reply(500, {"message": "no"})
    traced.send({"name": "a/b"})
    traced.engine.drain()
    [call] = traced.named("POST ")
    assert call.status.status_code.name == "ERROR"
    assert call.attributes and call.attributes["http.response.status_code"] == 500
    end_run.cancel(traced.engine.ctx, traced.engine.sdk.requests[0]["ctx"]["run_id"])
    [run] = traced.named("run ")
    assert run.attributes and run.attributes["inngest.status"] == "cancelled"


def test_a_trace_that_is_not_sampled_makes_no_spans_and_says_so(traced: Traced) -> None:
    traced.send({"name": "a/b"}, headers={"traceparent": GIVEN[:-2] + "00"})
    traced.engine.drain()
    assert traced.kept.get_finished_spans() == ()
    assert [header[-2:] for header in traced.headers] == ["00"] * 3


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        (GIVEN, GIVEN),
        (GIVEN[:-2] + "03", GIVEN),
        (f"01{GIVEN[2:]}-more", GIVEN),
        (f"ff{GIVEN[2:]}", None),
        (GIVEN.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32), None),
        (GIVEN.replace("00f067aa0ba902b7", "0" * 16), None),
        (GIVEN.upper(), None),
        (GIVEN + "0" * 600, None),
        ("", None),
        (None, None),
    ],
)
def test_contexts_are_read_as_w3c_says(header: str | None, kept: str | None) -> None:
    assert traces.parse(header) == kept


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_the_standard_variables_switch_it_on(environ: dict[str, str], expected: bool) -> None:
    assert tracing.wanted(environ) is expected


def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    stop = tracing.start({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"})
    stop()
    assert [record.msg for record in caplog.records] == ["tracing.not_installed"]


def test_the_ids_of_a_task_are_bound_while_it_calls(db: Database) -> None:
    bound: list[dict[str, Any]] = []

    def script(*args: Any) -> Any:
        bound.append(dict(observe.with_ids({})))
        return sequence("one")(*args)

    engine = Engine(db, script)
    run_id = engine.start()
    engine.drain()
    assert [(ids["run_id"], ids["function"], ids["kind"]) for ids in bound] == [
        (run_id, "app-fn", "start")
    ] * 2
    assert all(ids["item_id"] and ids["lease_id"] for ids in bound)
    assert json.dumps(bound)
    assert observe.with_ids({}) == {}
