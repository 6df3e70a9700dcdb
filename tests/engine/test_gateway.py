"""Gateway calls over real HTTP, on both databases."""

import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from inngest_py.domain.limits import MAX_RESPONSE_BYTES, MAX_STEP_BYTES
from inngest_py.domain.reply.read import Reply
from inngest_py.domain.steps.gateway import GatewayRequest
from inngest_py.engine.transport.gateway import Fetcher
from inngest_py.engine.work import claims, run_item
from inngest_py.engine.work.end_run import cancel
from inngest_py.storage.db.session import Database
from inngest_py.storage.queries import timeline_rows
from inngest_py.storage.queue import leases
from tests.engine.harness import Engine, Script
from tests.factories import op, reply, step
from tests.processes import free_port
from tests.provider import Answer, Provider, Received

KEY = "sk-very-secret-key"


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as made:
        yield made


def calling(*ops: dict[str, Any], version: str = "2") -> Script:
    """Script a function that reports the ops together and returns its memo."""

    def script(request: dict[str, Any], target: str) -> Reply:
        left = [one for one in ops if one["id"] not in request["steps"]]
        if not left:
            return reply(200, request["steps"])
        return reply(206, left, x_inngest_req_version=version)

    return script


def ai(name: str, url: str, shape: str = "openai-chat", **opts: Any) -> dict[str, Any]:
    given = {"type": "step.ai.infer", "url": url, "format": shape, "auth_key": KEY}
    return op("AIGateway", name, opts=given | {"body": {"model": "m"}} | opts)


def fetch(name: str, url: str, **opts: Any) -> dict[str, Any]:
    return op("Gateway", name, opts={"url": url, "method": "GET"} | opts)


def tried(engine: Engine, run_id: str) -> list[tuple[Any, ...]]:
    with engine.ctx.db.reading() as tx:
        rows = timeline_rows.attempts_of(tx, run_id)
    return [(row["op"], row["status"], row["attempt"], row["http_status"]) for row in rows]


@pytest.mark.parametrize(
    ("shape", "header", "value"),
    [
        ("openai-chat", "authorization", f"Bearer {KEY}"),
        ("anthropic", "x-api-key", KEY),
        ("bedrock", "authorization", KEY),
        ("gemini", None, ""),
    ],
)
def test_a_model_is_called_with_its_key(
    db: Database, provider: Provider, shape: str, header: str | None, value: str
) -> None:
    provider.script = lambda _: Answer(body=b'{"text":"hello"}')
    engine = Engine(db, calling(ai("a", f"{provider.url}/v1", shape)))
    run_id = engine.start()
    engine.drain()
    assert engine.run(run_id)["status"] == "completed"
    assert engine.memo(run_id) == {step("a"): {"data": {"text": "hello"}}}
    (got,) = provider.received
    assert (got.method, got.body) == ("POST", b'{"model":"m"}')
    if header is None:
        assert got.path == f"/v1?key={KEY}"
    else:
        assert got.headers[header] == value
    assert "x-inngest-signature" not in got.headers
    assert tried(engine, run_id)[0] == ("AIGateway", "completed", 0, 200)


def test_the_call_waits_in_its_item_with_the_key_and_leaves_no_trace_of_it(
    db: Database, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    provider.script = lambda got: Answer(401, b"wrong: " + got.headers["authorization"].encode())
    engine = Engine(db, calling(ai("a", provider.url)), retries=1)
    run_id = engine.start()
    engine.drain()
    (item,) = engine.queued(run_id)
    assert (item["kind"], item["attempt"]) == ("gateway", 1)
    assert KEY in item["opts"]
    engine.advance(seconds=5)
    assert engine.run(run_id)["status"] == "completed"
    assert not engine.queued(run_id)
    with db.reading() as tx:
        shown = [engine.run(run_id), engine.memo(run_id), *timeline_rows.attempts_of(tx, run_id)]
    assert "wrong: Bearer [redacted]" in str(shown)
    assert KEY not in str([dict(row) for row in shown])
    assert KEY not in caplog.text


def test_a_failing_model_is_tried_as_often_as_the_step(db: Database, provider: Provider) -> None:
    provider.script = lambda _: Answer(500, b'{"why":"busy"}')
    engine = Engine(db, calling(ai("a", provider.url)), retries=2)
    run_id = engine.start()
    engine.drain()
    for _ in range(2):
        engine.advance(seconds=5)
    assert len(provider.received) == 3
    assert engine.memo(run_id)[step("a")] == {
        "error": {
            "name": "AIGatewayError",
            "message": "Error making AI request: unsuccessful status code: 500",
            "data": {"why": "busy"},
            "stack": '{"why":"busy"}',
        }
    }
    assert tried(engine, run_id)[:3] == [
        ("AIGateway", "errored", 0, 500),
        ("AIGateway", "errored", 1, 500),
        ("AIGateway", "failed", 2, 500),
    ]


def test_a_retry_may_succeed(db: Database, provider: Provider) -> None:
    answers = [Answer(503), Answer(body=b'{"ok":1}')]
    provider.script = lambda _: answers.pop(0)
    engine = Engine(db, calling(ai("a", provider.url)))
    run_id = engine.start()
    engine.drain()
    engine.advance(seconds=5)
    assert engine.memo(run_id) == {step("a"): {"data": {"ok": 1}}}


def _redirect(got: Received) -> Answer:
    if got.path == "/end?q=1":
        return Answer(body=got.method.encode() + got.body)
    return Answer(307, headers={"location": "/end"})


@pytest.mark.parametrize(
    ("script", "data"),
    [
        (lambda _: Answer(404, b"no", {"x-a": "b"}), {"status_code": 404, "body": "no"}),
        (lambda _: Answer(500, b""), {"status_code": 500, "body": ""}),
        (lambda _: Answer(200, b"\xff"), {"status_code": 200, "body": "\ufffd"}),
        (lambda got: Answer(200, got.body), {"body": '"plain"'}),
        (lambda got: Answer(200, got.headers["x-own"].encode()), {"body": "mine"}),
        (_redirect, {"status_code": 200, "body": 'PUT"plain"'}),
    ],
)
def test_any_answer_to_a_fetch_is_its_result(
    db: Database, provider: Provider, script: Any, data: dict[str, Any]
) -> None:
    provider.script = script
    sent = {"method": "PUT", "body": "plain", "headers": {"x-own": "mine"}}
    engine = Engine(db, calling(fetch("g", f"{provider.url}/start?q=1", **sent)))
    run_id = engine.start()
    engine.drain()
    stored = engine.memo(run_id)[step("g")]["data"]
    assert stored | data == stored
    assert set(stored) == {"url", "headers", "body", "status_code"}
    assert engine.run(run_id)["status"] == "completed"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (lambda _: Answer(cut=True), "the connection was cut"),
        (lambda _: Answer(302, headers={"location": "/again"}), "more than 60 redirects"),
        (lambda _: Answer(302, headers={"location": "file:///etc/passwd"}), "is not http"),
        (lambda _: Answer(302, headers={"location": "http://[bad"}), "is not a URL"),
        (None, "connection refused"),
    ],
)
def test_a_call_without_an_answer_is_retried_and_fails(
    db: Database, provider: Provider, script: Any, said: str
) -> None:
    provider.script = script
    url = provider.url if script else f"http://127.0.0.1:{free_port()}"
    engine = Engine(db, calling(fetch("g", url)), retries=1)
    run_id = engine.start()
    engine.drain()
    assert [item["attempt"] for item in engine.queued(run_id)] == [1]
    engine.advance(seconds=5)
    error = engine.memo(run_id)[step("g")]["error"]
    assert error["name"] == "GatewayError"
    assert error["message"].startswith("Error making gateway request: ")
    assert said in error["message"]


@pytest.mark.parametrize("size", [MAX_STEP_BYTES, MAX_RESPONSE_BYTES + 1])
def test_an_answer_over_the_limit_fails_at_once(
    db: Database, provider: Provider, size: int
) -> None:
    provider.script = lambda _: Answer(body=b"x" * size)
    engine = Engine(db, calling(fetch("g", provider.url)))
    run_id = engine.start()
    engine.drain()
    assert len(provider.received) == 1
    assert "error" in engine.memo(run_id)[step("g")]
    assert engine.run(run_id)["status"] == "completed"


@pytest.mark.parametrize("version", ["1", "2"])
def test_calls_side_by_side_are_made_once_each(
    db: Database, provider: Provider, version: str
) -> None:
    ops = [ai("a", f"{provider.url}/a"), fetch("b", f"{provider.url}/b"), fetch("c", "nowhere")]
    engine = Engine(db, calling(*ops, version=version))
    run_id = engine.start()
    engine.drain()
    assert engine.run(run_id)["status"] == "completed"
    assert set(engine.memo(run_id)) == {step("a"), step("b"), step("c")}
    assert sorted(got.path for got in provider.received) == ["/a", "/b"]


def test_run_continues_with_the_first_call_of_a_race(db: Database, provider: Provider) -> None:
    provider.script = lambda got: Answer(500 if got.path == "/slow" else 200)
    racing = [ai(name, f"{provider.url}/{name}", parallelMode="race") for name in ("slow", "fast")]

    def script(request: dict[str, Any], target: str) -> Reply:
        if request["steps"]:
            return reply(200, "won")
        return reply(206, racing, x_inngest_req_version="2")

    engine = Engine(db, script)
    run_id = engine.start()
    engine.drain()
    assert engine.run(run_id)["output"] == '"won"'
    assert not engine.queued(run_id)


def test_an_answer_for_a_cancelled_run_is_dropped(db: Database, provider: Provider) -> None:
    called, go = threading.Event(), threading.Event()

    def hold(_: Received) -> Answer:
        called.set()
        go.wait(20)
        return Answer()

    provider.script = hold
    engine = Engine(db, calling(fetch("g", provider.url)))
    run_id = engine.start()
    worker = threading.Thread(target=engine.drain)
    worker.start()
    assert called.wait(20)
    cancel(engine.ctx, run_id)
    go.set()
    worker.join(20)
    assert engine.run(run_id)["status"] == "cancelled"
    assert engine.memo(run_id) == {}


def test_a_call_whose_worker_died_is_made_again(db: Database, provider: Provider) -> None:
    engine = Engine(db, calling(fetch("g", provider.url)))
    run_id = engine.start()
    ((_, start_item),) = engine.hinted.hints
    engine.hinted.hints.clear()
    engine.ctx.tuning = type(engine.ctx.tuning)(continue_for=-engine.ctx.tuning.continue_for)
    run_item.work(engine.ctx, [start_item])
    ((_, item_id),) = engine.hinted.hints
    assert len(claims.claim(engine.ctx, [item_id])) == 1  # and the worker dies
    engine.advance(minutes=5)
    assert not provider.received
    with db.transaction() as tx:
        assert len(leases.free_lapsed(tx, engine.now, 10)) == 1
    engine.advance(seconds=3)
    assert engine.run(run_id)["status"] == "completed"
    assert len(provider.received) == 1


def test_a_redirect_to_another_host_gets_no_keys(provider: Provider) -> None:
    with Provider() as other:
        provider.script = lambda _: Answer(307, headers={"location": f"{other.url}/x"})
        headers = {"Authorization": f"Bearer {KEY}", "X-Key": KEY, "X-A": "1"}
        sent = GatewayRequest("AIGateway", "POST", f"{provider.url}/?key={KEY}", headers, "{}", KEY)
        assert Fetcher().fetch(sent).status == 200
        (got,) = other.received
        assert (got.method, got.path, got.body) == ("POST", "/x", b"{}")
        assert got.headers["x-a"] == "1"
        assert KEY not in str(got)


@pytest.mark.parametrize("secret", [KEY, ""])
def test_a_redirect_that_repeats_the_query_takes_no_key_to_another_host(
    provider: Provider, secret: str
) -> None:
    with Provider() as other:
        repeated = f"{other.url}/x?alt=json&key={KEY}&page=2"
        provider.script = lambda _: Answer(307, headers={"location": repeated})
        url = f"{provider.url}/?alt=json&key={KEY}"
        sent = GatewayRequest("AIGateway", "POST", url, {"X-Auth-Token": "mine"}, "{}", secret)
        assert Fetcher().fetch(sent).status == 200
        (got,) = other.received
        assert got.path == "/x?alt=json&page=2"
        assert "x-auth-token" not in got.headers


def test_a_redirect_on_the_same_host_keeps_the_key(provider: Provider) -> None:
    answers = [Answer(307, headers={"location": "/x"}), Answer()]
    provider.script = lambda _: answers.pop(0)
    sent = GatewayRequest(
        "AIGateway", "POST", f"{provider.url}/?key={KEY}", {"X-Key": KEY}, "{}", KEY
    )
    assert Fetcher().fetch(sent).status == 200
    assert provider.received[1].path == f"/x?key={KEY}"
    assert provider.received[1].headers["x-key"] == KEY
