"""Durable endpoints: the run that an SDK starts, the request that continues it, its result."""

from typing import Any

import orjson
import pytest

from inngest_py.domain.errors import Invalid
from inngest_py.domain.reply import api_result, durable_endpoint
from inngest_py.domain.reply.read import Reply
from inngest_py.domain.runs.runs import RunStatus
from inngest_py.domain.values import canonical, ids
from tests.factories import RUN_ID, item, reply, run, step

DATA = {
    "domain": "https://api.example.com",
    "method": "post",
    "path": "/orders",
    "query_params": "a=1",
    "content_type": "text/plain",
    "body": "aGk=",
}


def parsed(sdk: str = "go", event: Any = None, **changes: Any) -> durable_endpoint.NewRun:
    body = {"run_id": RUN_ID, "event": {"name": "x", "data": DATA} if event is None else event}
    return durable_endpoint.parse_new(
        orjson.dumps(body | changes), now_ms=5, event_id=RUN_ID, sdk=sdk
    )


def test_app_and_function_are_derived_from_the_request() -> None:
    made = parsed(retries=7, request_version=2)
    assert made.app_id == ids.endpoint_app_id("https://api.example.com")
    assert (made.config.slug, made.config.url) == ("POST /orders", "https://api.example.com/orders")
    assert (made.config.retries, made.request_version) == (7, 2)
    assert parsed(event={"data": DATA | {"fn": "buy"}}).config.slug == "buy"


@pytest.mark.parametrize(("given", "kept"), [(None, 4), (True, 4), (-1, 0), (99, 20), ("x", 4)])
def test_retries_stay_within_their_bounds(given: Any, kept: int) -> None:
    assert parsed(retries=given).config.retries == kept


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"run_id": "x"}, "run_id must be a ULID"),
        ({"event": []}, "event.data must be an object"),
        ({"event": {"data": 1}}, "event.data must be an object"),
        ({"event": {"data": DATA | {"domain": "file:///etc"}}}, "must be an origin"),
        ({"event": {"data": DATA | {"domain": "https://a/b"}}}, "must be an origin"),
        ({"event": {"data": DATA | {"domain": "https://a:x"}}}, "must be an origin"),
        ({"event": {"data": DATA | {"domain": 7}}}, "must be a string"),
        ({"event": {"data": DATA | {"method": "BREW"}}}, "not an HTTP method"),
        ({"event": {"data": DATA | {"path": "orders"}}}, "must be a URL's path"),
        ({"event": {"data": DATA | {"path": "/a b"}}}, "must be a URL's path"),
        ({"steps": 7}, "steps must be an array"),
    ],
)
def test_bad_requests_say_what_is_wrong(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(Invalid, match=said):
        parsed(**changes)


@pytest.mark.parametrize(
    ("sdk", "encoding", "body"),
    [("inngest-go:v1", "base64", b"hi"), ("inngest-js:v4", "text", b"aGk=")],
)
def test_the_request_is_the_callers_own(sdk: str, encoding: str, body: bytes) -> None:
    made = parsed(sdk)
    assert made.encoding == encoding
    call = durable_endpoint.request_to_endpoint(
        run(event=made.event.payload, endpoint=encoding), item(), request_id=RUN_ID
    )
    assert (call.method, call.url) == ("POST", "https://api.example.com/orders?a=1")
    assert (call.body, call.signed) == (body, body)
    assert call.headers["Content-Type"] == "text/plain"
    assert call.headers["X-Inngest-Force-Step-Plan"] == "true"
    assert (call.headers["X-Run-ID"], call.headers["X-Inngest-Signature"]) == (RUN_ID, "")
    assert "X-Inngest-Step-ID" not in call.headers


def test_a_step_is_named_in_a_header_and_json_is_signed_canonical() -> None:
    made = parsed("inngest-js", event={"data": DATA | {"body": '{ "b": 1.0, "a": 2 }'}})
    targeted = item(step=step("s"))
    call = durable_endpoint.request_to_endpoint(
        run(event=made.event.payload, endpoint="text"), targeted, request_id=RUN_ID
    )
    assert call.headers["X-Inngest-Step-ID"] == step("s")
    assert call.body == b'{ "b": 1.0, "a": 2 }'
    assert call.signed == canonical.canonical(call.body) == b'{"a":2,"b":1}'


def test_an_answer_without_ops_is_an_error() -> None:
    ops = [{"op": "RunComplete", "id": "x", "data": 1}]
    assert durable_endpoint.answer(reply(206, ops)).status == 206
    assert durable_endpoint.answer(reply(200, ops)).status == 206
    assert durable_endpoint.answer(reply(500, "no")).status == 500
    refused = durable_endpoint.answer(Reply(status=200, headers={}, body=b"<html>"))
    assert "answered HTTP 200 and no steps" in str(refused.unreachable)


@pytest.mark.parametrize(
    ("output", "status", "body", "headers"),
    [
        ({"status_code": 201, "body": "x", "headers": {"A": "b"}}, 201, b"x", {"A": "b"}),
        ({"data": {"status": 404, "body": {"a": 1}, "headers": None}}, 404, b'{"a":1}', {}),
        (
            {"status": 200, "body": "", "headers": {"A": ["b"], "Date": "d", "B": "x\n"}},
            *(200, b"", {"A": "b"}),
        ),
    ],
)
def test_results_are_http_answers(
    output: Any, status: int, body: bytes, headers: dict[str, str]
) -> None:
    found = api_result.result(orjson.dumps(output).decode())
    assert found == api_result.ApiResult(status, body, headers)


@pytest.mark.parametrize("output", [None, 1, {}, {"status": 99, "body": ""}, {"status": 200}])
def test_other_outputs_are_no_http_answers(output: Any) -> None:
    assert api_result.result(None if output is None else orjson.dumps(output).decode()) is None


@pytest.mark.parametrize(("code", "status"), [(200, RunStatus.COMPLETED), (500, RunStatus.FAILED)])
def test_a_server_error_fails_the_run(code: int, status: RunStatus) -> None:
    assert api_result.finish({"data": {"status_code": code, "body": ""}})[0] is status
