"""The replay check over HTTP and from the shell: its report, and clear errors for bad input."""

import json
from dataclasses import replace
from typing import Any

import pytest
import requests
from click.testing import CliRunner, Result

from inngest_py.cli import cli
from inngest_py.domain.access import reach
from inngest_py.domain.reply.read import Reply
from tests.api import test_endpoints
from tests.api.conftest import Service
from tests.factories import op, reply, step

APP = "http://localhost:2/api/inngest"


def planned(request: dict[str, Any], target: str) -> Reply:
    """Answer as the code of the service's function does, without running a step."""
    left = [name for name in ("one", "two") if step(name) not in request["steps"]]
    if not left:
        return reply(200, "done")
    return reply(206, [op("StepPlanned", left[0])], x_inngest_req_version="2")


def asked(service: Service, **body: Any) -> Any:
    return service.client.post("/api/v1/replay-check", json={"app": APP, **body})


@pytest.fixture
def run_id(service: Service) -> str:
    """A run that has ended, and new code that has not changed."""
    made = service.engine.start()
    service.engine.drain()
    service.engine.sdk.script = planned
    return made


def test_report_of_a_run_that_has_ended(service: Service, run_id: str) -> None:
    report = asked(service, run=run_id).json["data"]
    told = f"run {run_id} has ended (completed): no deploy touches it; this code would make"
    assert report.pop("summary") == f"{told} no changes to its steps"
    assert report == {
        "in_flight": 0,
        "checked": 1,
        "changed": 0,
        "groups": [],
        "runs": [],
        "left_out": [],
    }
    service.engine.sdk.script = lambda request, target: reply(200, "at once")
    report = asked(service, run=run_id).json["data"]
    assert report["summary"] == f"{told} 3 changes to its steps"
    [run] = report["runs"]
    assert (run["id"], run["function"], run["status"]) == (run_id, "app-fn", "completed")
    gone = {
        "change": "missing",
        "text": "'one' (step 1) is gone: the new code never asks for it",
        "step": step("one"),
        "name": "one",
        "position": 1,
        "detail": None,
    }
    assert gone in run["findings"]
    assert [group["runs"] for group in report["groups"]] == [1, 1, 1]


def test_report_of_runs_in_flight(service: Service) -> None:
    assert asked(service, all=True).json["data"]["summary"] == (
        "there are no runs in flight: deploying this would change none"
    )
    runs = sorted(service.engine.start() for _ in range(3))
    service.engine.sdk.script = planned
    report = asked(service, function="app-fn", most=2).json["data"]
    assert report["summary"] == (
        "deploying this would change no steps of the 2 runs that were checked, of 3 runs in flight"
    )
    assert report["left_out"] == [{"reason": "the limit (most) is 2", "runs": 1}]
    assert asked(service, all=True).json["data"]["checked"] == len(runs)


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({}, 400, "give one of run, function and all"),
        ({"run": "01JD0000000000000000000000", "all": True}, 400, "not run and all"),
        ({"run": "nothing"}, 400, "26 characters"),
        ({"run": "01JD0000000000000000000000"}, 404, "does not exist"),
        ({"function": "nothing"}, 404, "function nothing does not exist"),
        ({"all": True, "most": 0}, 400, "most"),
        ({"all": True, "app": "nonsense"}, 400, "app: is not a URL"),
        ({"all": True, "app": "ftp://a.b/c"}, 400, "app: must begin with http"),
        ({"all": True, "app": "ws://a.b/c"}, 400, "app: "),
        ({"all": True, "app": None}, 400, "app"),
        ({"all": True, "apps": "x"}, 400, "apps"),
    ],
)
def test_bad_input_names_the_field(
    service: Service, body: dict[str, Any], status: int, told: str
) -> None:
    answered = asked(service, **body)
    assert answered.status_code == status
    assert told in answered.json["error"]
    assert service.engine.sdk.requests == []


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (Reply(unreachable="connection refused"), "the app cannot be reached: connection refused"),
        (Reply(401, {}, b"no"), "the app refuses the server's signature (401)"),
        (Reply(200, {}, b"hello"), "what answers there (HTTP 200) is not an Inngest SDK"),
        (reply(500, {"code": "function_not_found", "message": "x"}), "has no function app-fn"),
    ],
)
def test_apps_that_cannot_be_asked(service: Service, run_id: str, given: Reply, told: str) -> None:
    service.engine.sdk.script = lambda request, target: given
    answered = asked(service, run=run_id)
    assert (answered.status_code, told in answered.json["error"]) == (400, True)


def test_runs_of_durable_endpoints_are_refused(service: Service) -> None:
    begun = test_endpoints.begin(service, test_endpoints.ran("a")).json["data"]["run_id"]
    for body in ({"run": begun}, {"all": True}, {"function": "GET /o"}):
        answered = asked(service, **body)
        assert (answered.status_code, "durable endpoint" in answered.json["error"]) == (400, True)


def test_an_app_out_of_reach_is_not_called(service: Service, run_id: str) -> None:
    ctx = service.engine.ctx
    ctx.tuning = replace(ctx.tuning, reach=reach.parse([], dev=False))
    before = len(service.engine.sdk.requests)
    answered = asked(service, run=run_id, app="http://169.254.169.254/api/inngest")
    assert (answered.status_code, answered.json["code"]) == (400, "host_not_allowed")
    assert "INNGEST_CALL_HOSTS" in answered.json["error"]
    assert len(service.engine.sdk.requests) == before


def test_the_route_needs_the_signing_key(service: Service) -> None:
    client = service.with_settings(dev=False, signing_key="signkey-prod-00")
    assert client.post("/api/v1/replay-check", json={"app": APP, "all": True}).status_code == 401


@pytest.fixture
def shell(service: Service, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the command against the service."""

    def request(method: str, url: str, **options: Any) -> requests.Response:
        path = url.removeprefix("http://server")
        given = service.client.open(path, method=method, json=options["json"])
        answered = requests.Response()
        answered.status_code, answered._content = given.status_code, given.data
        return answered

    monkeypatch.setattr(requests, "request", request)

    def run(*args: str) -> Result:
        return CliRunner().invoke(cli, ["replay", *args, "--url", "http://server"])

    return run


def test_command_ends_with_0_1_or_2(service: Service, run_id: str, shell: Any) -> None:
    same = shell(run_id, "--app", APP)
    assert (same.exit_code, "no changes" in same.output) == (0, True)
    service.engine.sdk.script = lambda request, target: reply(200)
    assert shell(run_id, "--app", APP).exit_code == 1
    as_json = shell(run_id, "--app", APP, "--json")
    assert (as_json.exit_code, json.loads(as_json.output)["changed"]) == (1, 1)
    for args, told in (
        ((run_id,), "--app"),
        (("--app", APP), "give one of RUN, --function and --all"),
        ((run_id, "--all", "--app", APP), "give one of RUN, --function and --all"),
        (("nothing", "--app", APP), "26 characters"),
        (("--function", "nothing", "--app", APP), "function nothing does not exist"),
        (("--all", "--app", "nonsense"), "app: is not a URL"),
        (("--all", "--app", APP, "--most", "0"), "most"),
    ):
        refused = shell(*args)
        assert (refused.exit_code, told in refused.output) == (2, True), refused.output


def test_command_tells_what_was_left_out(service: Service, shell: Any) -> None:
    for _ in range(2):
        service.engine.start()
    service.engine.sdk.script = planned
    found = shell("--all", "--app", APP, "--most", "1")
    assert found.exit_code == 1
    assert "- not checked: 1 run: the limit (most) is 1" in found.output
