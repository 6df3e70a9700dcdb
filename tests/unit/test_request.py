"""The request's bytes: canonical, complete, and within the size limit."""

import orjson
import rfc8785

from inngest_py.domain.limits import MAX_REQUEST_BYTES
from inngest_py.domain.reply import request
from inngest_py.domain.values import canonical
from tests.factories import EVENT, RUN_ID, item, run, step


def built(memo: dict[str, str], **changes: object) -> bytes:
    return request.body(
        run(**changes), item(), memo, max_attempts=5, request_id="01JD0000000000000000000009"
    )


def test_the_spliced_body_is_canonical() -> None:
    memo = {step("b"): '{"data":1}', step("a"): "null", 'odd"\\id': '{"data":{"é":[1.5]}}'}
    body = built(memo, request_version=2)
    assert body == rfc8785.dumps(orjson.loads(body))


def test_the_body_holds_what_sdks_need() -> None:
    memo = {step("b"): '{"data":1}', step("a"): "null"}
    body = orjson.loads(built(memo))
    context = body["ctx"]
    assert context["stack"] == {"stack": [step("b"), step("a")], "current": 2}
    assert (context["attempt"], context["max_attempts"], context["run_id"]) == (0, 5, RUN_ID)
    assert context["use_api"] is False
    assert context["disable_immediate_execution"] is False
    assert context["fn_id"] == "f"
    assert body["event"] == orjson.loads(EVENT)
    assert body["events"] == [body["event"]]
    assert body["steps"] == {step("a"): None, step("b"): {"data": 1}}
    assert body["version"] == -1


def test_the_body_is_canonical_though_its_events_keep_long_integers() -> None:
    event = canonical.dumps_event({"name": "n", "data": {"id": 2**53 + 1}}).decode()
    for changes in ({"event": event}, {"event": event, "events": (event, event)}):
        body = built({}, **changes)
        assert body == canonical.canonical(body)
        assert body.count(b"9007199254740992") == 1 + len(changes.get("events", "x"))


def test_large_state_is_left_for_the_sdk_to_fetch() -> None:
    memo = {step(str(i)): '{"data":"' + "x" * 1_500_000 + '"}' for i in range(3)}
    body = built(memo)
    assert len(body) < MAX_REQUEST_BYTES
    read = orjson.loads(body)
    assert read["ctx"]["use_api"] is True
    assert read["use_api"] is True
    assert read["steps"] == {}
    assert len(read["ctx"]["stack"]["stack"]) == 3


def test_large_events_are_left_out_of_the_list_only() -> None:
    event = '{"data":"' + "x" * 2_500_000 + '","id":"e","name":"n","ts":1,"user":{}}'
    read = orjson.loads(built({}, event=event))
    assert read["use_api"] is True
    assert read["events"] == []
    assert read["event"]["name"] == "n"


def test_headers_name_run_step_and_version() -> None:
    sent = request.headers(
        run(request_version=2),
        item(step=step("a")),
        request_id="01JD0000000000000000000009",
    )
    assert sent["X-Run-ID"] == RUN_ID
    assert sent["X-Inngest-Step-ID"] == step("a")
    assert sent["x-inngest-req-version"] == "2"
    version, trace, span, flags = sent["traceparent"].split("-")
    assert (version, len(trace), len(span), flags) == ("00", 32, 16, "01")
