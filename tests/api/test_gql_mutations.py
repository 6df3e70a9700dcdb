"""Mutations (protocol: api.md §5.3)."""

import json
from typing import Any

import pytest

from inngest_py.domain.reply.read import Reply
from tests.api.conftest import Service
from tests.api.gql import ask, change
from tests.factories import step

UNKNOWN = "01JD0000000000000000000000"
URL = "http://localhost:1/api/inngest"


def latest(service: Service) -> str:
    listed = ask(service, "runs", filter={"from": "2020-01-01T00:00:00Z"})
    return str(listed["edges"][0]["node"]["id"])


def test_cancelling(service: Service) -> None:
    run_id = service.engine.start()
    cancel = "cancelRun(runID: $runID) { id status finishedAt }"
    shown = change(service, cancel, runID=run_id)
    at = "2026-01-02T03:04:05Z"
    assert shown == {"id": run_id, "status": "CANCELLED", "finishedAt": at}
    assert "cannot be cancelled: it is cancelled" in change(service, cancel, runID=run_id)
    assert "does not exist" in change(service, cancel, runID=UNKNOWN)
    assert ask(service, "runTrace", id=run_id)["status"] == "CANCELLED"


def test_rerunning(service: Service) -> None:
    run_id = service.engine.start(data={"n": 1})
    service.engine.drain()
    again = change(service, "rerun(runID: $runID)", runID=run_id)
    service.engine.drain()
    assert service.engine.run(again)["original_run_id"] == run_id
    assert service.engine.memo(again) == service.engine.memo(run_id)
    from_step = 'rerun(runID: $runID, fromStep: {stepID: "two", input: $input})'
    part = change(service, from_step, runID=run_id, input='[{"x": 1}]')
    assert list(service.engine.memo(part)) == [step("one")]
    service.engine.drain()
    asked = service.engine.sdk.requests[-1]
    assert asked["steps"][step("two")] == {"input": [{"x": 1}]}
    trigger = ask(service, "runTrigger", id=part)
    assert json.loads(trigger["payloads"][0])["data"] == {"n": 1}


@pytest.mark.parametrize(
    ("input", "told"),
    [
        ("{", "not JSON"),
        ("{}", "must be an array"),
        ("", "not JSON"),
        ("[" * 300 + "]" * 300, "deep"),
    ],
)
def test_bad_input_of_a_rerun(lasting: Service, input: str, told: str) -> None:
    run_id = lasting.engine.start()
    lasting.engine.drain()
    from_step = 'rerun(runID: $runID, fromStep: {stepID: "one", input: $input})'
    assert told in change(lasting, from_step, runID=run_id, input=input)
    unknown = 'rerun(runID: $runID, fromStep: {stepID: "nine"})'
    assert "no step" in change(lasting, unknown, runID=run_id)
    assert "does not exist" in change(lasting, "rerun(runID: $runID)", runID=UNKNOWN)


def test_invoking(service: Service) -> None:
    made = change(
        service,
        'createDebugSession(input: {functionSlug: "app-fn"}) { debugSessionID debugRunID }',
    )
    invoke = 'invokeFunction(functionSlug: "app-fn", data: $data, user: {who: 1}, debugSessionID:'
    invoke += " $id, debugRunID: $other)"
    ids = {"id": made["debugSessionID"], "other": made["debugRunID"]}
    assert change(service, invoke, data={"n": [1]}, **ids) is True
    run_id = latest(service)
    event = json.loads(ask(service, "runTrigger", id=run_id)["payloads"][0])
    assert event["data"] == {"n": [1], "_inngest": {"fn_id": "app-fn"}}
    assert event["user"] == {"who": 1}
    trace = ask(service, "runTrace", id=run_id)
    assert (trace["debugSessionID"], trace["debugRunID"]) == (ids["id"], ids["other"])
    assert "does not exist" in change(service, 'invokeFunction(functionSlug: "none")')
    assert "does not exist" in change(
        service,
        f'createDebugSession(input: {{functionSlug: "app-fn", runID: "{UNKNOWN}"}})'
        " { debugRunID }",
    )


def test_apps(service: Service) -> None:
    pinged: list[str] = []

    def send(method: str, url: str, *_: Any) -> Reply:
        pinged.append(f"{method} {url}")
        return Reply(status=200, headers={"x-inngest-sdk": "py:v1"}, body=b"{}")

    service.engine.sdk.send = send  # type: ignore[method-assign]
    fields = "{ id name url error connected functionCount }"
    made = change(service, f'createApp(input: {{url: "http://localhost:9/x"}}) {fields}')
    assert pinged == ["PUT http://localhost:9/x"]
    assert (made["url"], made["name"]) == ("http://localhost:9/x", "http://localhost:9/x")
    [app] = [one for one in ask(service, "apps") if one["name"] == "app"]
    move = f'updateApp(input: {{id: "{app["id"]}", url: "%s"}}) {fields}'
    assert "is at" in change(service, move % "http://localhost:9/x")
    moved = change(service, move % "http://localhost:8/y")
    assert (moved["id"], moved["url"]) == (app["id"], "http://localhost:8/y")
    assert pinged[1:] == ["PUT http://localhost:8/y"]
    assert change(service, f'deleteApp(id: "{made["id"]}")') == made["id"]
    assert "does not exist" in change(service, f'deleteApp(id: "{made["id"]}")')
    assert change(service, 'deleteAppByName(name: "app")') is True
    assert change(service, 'deleteAppByName(name: "app")') is False
    assert ask(service, "apps") == ask(service, "functions") == []
    assert "does not exist" in change(service, move % "http://localhost:8/y")


def test_unreachable_app_is_stored_with_its_error(service: Service) -> None:
    service.engine.sdk.send = lambda *_: Reply(  # type: ignore[method-assign]
        status=0, headers={}, body=b"", unreachable="refused"
    )
    fields = "{ error connected }"
    made = change(service, f'createApp(input: {{url: "http://localhost:9/x"}}) {fields}')
    assert made == {"error": "unreachable", "connected": False}
    told = change(service, f'createApp(input: {{url: "ftp://x"}}) {fields}')
    assert isinstance(told, str)


def test_bad_urls_of_apps_are_refused(lasting: Service) -> None:
    apps = ask(lasting, "apps")
    long = "x/" * 999
    for url in (
        "",
        "nonsense",
        "ftp://x/y",
        "http://",
        "http://a b",
        "ws://x",
        "http://\x07",
        long,
    ):
        given = json.dumps(url)
        for mutation in (f"createApp(input: {{url: {given}}})", _moved(apps[0]["id"], given)):
            told = change(lasting, f"{mutation} {{ id }}")
            assert isinstance(told, str) and told.startswith("url "), told
        answered = lasting.client.post("/v2/apps/app/syncs", json={"url": url})
        assert answered.status_code == 400
        assert "url" in answered.json["errors"][0]["message"]
    assert ask(lasting, "apps") == apps


def _moved(app_id: str, url: str) -> str:
    return f'updateApp(input: {{id: "{app_id}", url: {url}}})'
