"""Gateway calls: the request that an op asks for, and what its answer means."""

from datetime import timedelta
from typing import Any

import orjson
import pytest

from inngest_py.domain.limits import MAX_STEP_BYTES
from inngest_py.domain.reply import decide as plans
from inngest_py.domain.reply import gateway_answers
from inngest_py.domain.reply.plans import Plan, Policy
from inngest_py.domain.reply.read import Reply
from inngest_py.domain.runs.items import ItemKind
from inngest_py.domain.runs.runs import RunStatus
from inngest_py.domain.steps import gateway
from inngest_py.domain.steps.opcodes import Op, Opcode
from tests.factories import NOW, item, op, reply, run, step

KEY = "sk-very-secret-key"
AI = {"url": "http://h/v1", "auth_key": KEY, "body": {"b": 1, "a": 2}, "headers": {"X-A": "1"}}


def built(code: Opcode, **opts: Any) -> gateway.GatewayRequest:
    return gateway.request(Op(code, id="i", opts=opts))


@pytest.mark.parametrize(
    ("shape", "header", "value"),
    [
        ("openai-chat", "Authorization", f"Bearer {KEY}"),
        ("anthropic", "X-Api-Key", KEY),
        ("bedrock", "Authorization", KEY),
        ("", "Authorization", f"Bearer {KEY}"),
    ],
)
def test_ai_keys_go_into_their_header(shape: str, header: str, value: str) -> None:
    made = built(Opcode.AI_GATEWAY, **AI, format=shape)
    assert (made.method, made.url, made.body) == ("POST", "http://h/v1", '{"a":2,"b":1}')
    assert made.headers[header] == value
    assert made.headers["X-A"] == "1"
    assert made.headers["Content-Type"] == "application/json"
    assert gateway.read(made.text()) == made


def test_gemini_takes_its_key_in_the_query_once() -> None:
    given = AI | {"url": "http://h/m:generate?alt=json&key=old"}
    made = built(Opcode.AI_GATEWAY, **given, format="gemini")
    assert made.url == f"http://h/m:generate?alt=json&key={KEY}"
    assert KEY not in str(made.headers)


def test_a_key_replaces_the_header_of_any_case_and_no_key_adds_none() -> None:
    own = AI | {"headers": {"authorization": "mine"}}
    assert built(Opcode.AI_GATEWAY, **own).headers["Authorization"] == f"Bearer {KEY}"
    without = built(Opcode.AI_GATEWAY, **(own | {"auth_key": ""}))
    assert without.headers["Authorization"] == "mine"


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        ('{ "a" : 1 }', '{ "a" : 1 }'),
        ("hi", '"hi"'),
        ("a=b&c=d", '"a=b&c=d"'),
        ("1", "1"),
        ("", None),
        (None, None),
        ({"a": 1}, '{"a":1}'),
    ],
)
def test_a_body_that_is_json_goes_out_as_it_is_and_any_other_quoted(body: Any, sent: Any) -> None:
    made = built(Opcode.GATEWAY, url="http://h", method="post", body=body)
    assert (made.method, made.body) == ("POST", sent)
    assert ("Content-Type" in made.headers) == (sent is not None)


def test_headers_go_out_in_the_case_of_the_reference() -> None:
    given = {"x-api-key": "1", "X-GITHUB-api-Version": "2", "etag": "3"}
    made = built(Opcode.GATEWAY, url="http://h", headers=given)
    assert list(made.headers) == ["User-Agent", "X-Api-Key", "X-Github-Api-Version", "Etag"]


def test_headers_are_passed_on_except_those_of_the_connection() -> None:
    given = {"X-A": "1", "Host": "other", "content-length": "9", "Accept": ["a", "b"], "N": 5}
    made = built(Opcode.GATEWAY, url="http://h", headers=given)
    assert made.method == "GET"
    assert made.headers == {"User-Agent": "Inngest", "X-A": "1", "Accept": "a, b", "N": "5"}


@pytest.mark.parametrize(
    ("opts", "said"),
    [
        ({}, "has no url"),
        ({"url": "ftp://h"}, "not an absolute http"),
        ({"url": "http://[bad"}, "not an absolute http"),
        ({"url": "/path"}, "not an absolute http"),
        ({"url": "http://h", "method": "GET /x\r\n"}, "not an HTTP method"),
        ({"url": "http://h", "headers": {"a": "b\r\nc: d"}}, "control characters"),
        ({"url": "http://h", "headers": {"a b": "c"}}, "not a token"),
        ({"url": "http://h", "headers": {"a": "€"}}, "not Latin-1"),
        ({"url": "http://h", "body": "x" * MAX_STEP_BYTES}, "is over"),
        ({"url": 5}, "url is not a string"),
        ({"url": "http://h/" + "x" * 20_000}, "is over"),
    ],
)
def test_a_request_that_no_client_can_send_is_the_steps_error(
    opts: dict[str, Any], said: str
) -> None:
    made = plans.plan(
        run(), item(), Policy(3), reply(206, [op("Gateway", "g", opts=opts)]), NOW, 0.5
    )
    (result,) = made.results
    error = orjson.loads(result.value)["error"]
    assert error["name"] == "GatewayError"
    assert error["message"].startswith("Error making gateway request: ")
    assert said in error["message"]
    assert not made.follow_ups


def test_gateways_are_planned_ops_of_a_group() -> None:
    ops = [op("AIGateway", "a", opts=AI), op("Gateway", "g", opts={"url": "http://h"})]
    ops[1]["opts"]["parallelMode"] = "race"
    made = plans.plan(run(), item(), Policy(3), reply(206, ops), NOW, 0.5)
    assert made.group == {step("a"): False, step("g"): True}
    assert made.coalesce
    assert [job.kind for job in made.follow_ups] == [ItemKind.GATEWAY] * 2
    assert [gateway.read(job.opts or "").race for job in made.follow_ups] == [False, True]
    assert KEY not in str(made.timeline)


def answered(code: Opcode, answer: Reply, *, attempt: int = 0, **opts: Any) -> Plan:
    wanted = built(code, **(AI | opts))
    held = item(kind=ItemKind.GATEWAY, step="i", step_name="call", attempt=attempt)
    return gateway_answers.plan(run(), held, Policy(2), wanted, answer, NOW, 0.5)


def value(made: Plan) -> Any:
    (result,) = made.results
    return orjson.loads(result.value)


def test_an_ai_answer_is_data() -> None:
    made = answered(Opcode.AI_GATEWAY, Reply(status=200, body=b'{"x": [1]}'))
    assert value(made) == {"data": {"x": [1]}}
    assert [(t.op, t.status, t.name) for t in made.timeline] == [("AIGateway", "completed", "call")]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (
            Reply(status=401, body=b'{"error":"bad key sk-very-secret-key"}'),
            {
                "message": "Error making AI request: unsuccessful status code: 401",
                "data": {"error": "bad key [redacted]"},
                "stack": '{"error":"bad key [redacted]"}',
            },
        ),
        (
            Reply(status=502, body=b"<html>"),
            {
                "message": "Error making AI request: unsuccessful status code: 502",
                "stack": "<html>",
            },
        ),
        (
            Reply(status=200, body=b"hello"),
            {"message": "Error making AI request: the response is not JSON", "stack": "hello"},
        ),
        (
            Reply(unreachable="connection refused"),
            {"message": gateway_answers.UNREACHABLE, "stack": "connection refused"},
        ),
    ],
)
def test_an_ai_failure_is_retried_and_then_stored(answer: Reply, error: dict[str, Any]) -> None:
    first = answered(Opcode.AI_GATEWAY, answer)
    assert first.retry == timedelta(seconds=30)
    assert [trace.status for trace in first.timeline] == ["errored"]
    last = answered(Opcode.AI_GATEWAY, answer, attempt=2)
    assert last.retry is None
    assert value(last) == {"error": {"name": "AIGatewayError"} | error}
    assert last.results[0].failed
    assert KEY not in str((first.timeline, last.timeline))


def test_a_provider_says_when_to_try_again() -> None:
    limited = Reply(status=429, headers={"retry-after": "7"})
    assert answered(Opcode.AI_GATEWAY, limited).retry == timedelta(seconds=7)


@pytest.mark.parametrize("status", [200, 404, 500])
def test_any_http_answer_to_a_gateway_call_is_data(status: int) -> None:
    headers = {"content-type": "text/plain", "content-encoding": "gzip", "content-length": "9"}
    made = answered(Opcode.GATEWAY, Reply(status=status, headers=headers, body="é\xff".encode()))
    assert value(made)["data"] == {
        "url": "http://h/v1",
        "headers": {"Content-Type": "text/plain"},
        "body": "éÿ",
        "status_code": status,
    }
    assert not made.results[0].failed


def test_a_status_without_a_body_has_none() -> None:
    assert value(answered(Opcode.GATEWAY, Reply(status=204)))["data"]["body"] is None


def test_a_gateway_call_without_an_answer_fails() -> None:
    cut = Reply(unreachable="the connection was cut")
    assert answered(Opcode.GATEWAY, cut).retry is not None
    error = {
        "name": "GatewayError",
        "message": "Error making gateway request: the connection was cut",
    }
    assert value(answered(Opcode.GATEWAY, cut, attempt=2)) == {"error": error}


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        (Opcode.AI_GATEWAY, Reply(status=200, too_large=True)),
        (Opcode.GATEWAY, Reply(status=200, too_large=True)),
        (Opcode.GATEWAY, Reply(status=200, body=b"x" * MAX_STEP_BYTES)),
        (Opcode.GATEWAY, Reply(status=200, body=b"\x01" * (MAX_STEP_BYTES // 4))),
        (Opcode.AI_GATEWAY, Reply(status=200, body=b"[" * 195 + b"]" * 195)),
    ],
)
def test_an_answer_that_cannot_be_stored_fails_at_once(code: Opcode, answer: Reply) -> None:
    made = answered(code, answer)
    assert made.retry is None
    assert set(value(made)) == {"error"}


def test_a_full_state_ends_the_run() -> None:
    wanted = built(Opcode.AI_GATEWAY, **AI)
    full = run(state_bytes=32 * 1024 * 1024)
    answer = Reply(status=200, body=b"{}")
    made = gateway_answers.plan(full, item(), Policy(2), wanted, answer, NOW, 0.5)
    assert made.finish is not None
    assert made.finish.status is RunStatus.FAILED
