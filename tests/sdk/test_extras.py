"""Races, middleware, models, large batches, signals in conflict, and code that changes."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.api.gql import QUERIES
from tests.processes import Server, wait_until

from .app_process import SdkApp
from .client import ENDED, Api

LARGE = "x" * 1_500_000
KINDS = ("python-extras", "ts-v4-extras", "ts-v3-extras")


class Extras:
    """An app and the server that it is registered with."""

    def __init__(self, app: SdkApp, api: Api) -> None:
        self.app, self.api = app, api
        self.is_python = app.kind.startswith("python")

    def send(self, function: str, **data: Any) -> str:
        return self.api.send(f"{self.app.kind}/{function}", data)

    def run(self, function: str, **data: Any) -> dict[str, Any]:
        run = self.api.run(self.send(function, **data), timeout=60)
        assert run["status"] == "Completed", f"{run}\n{self.app.log_tail()}"
        return run

    def bodies(self, run: dict[str, Any]) -> list[str]:
        return [line["step"] for line in self.app.effects(run["run_id"])]


@pytest.fixture(scope="module", params=KINDS)
def extras(
    request: pytest.FixtureRequest, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Extras]:
    kind: str = request.param
    with SdkApp(kind, server.url, tmp_path_factory.mktemp(kind)).start() as app:
        reply = app.register()
        assert reply.status_code == 200, f"{reply.text}\n{app.log_tail()}"
        yield Extras(app, Api(server.url))


def test_branches_of_a_race_do_not_wait_for_each_other(extras: Extras) -> None:
    run = extras.run("race")
    assert extras.bodies(run) == ["first", "then", "late"]
    assert run["output"] == ["late", "then"]


def test_no_step_of_a_race_runs_twice(extras: Extras) -> None:
    """The slow step is under way while the others continue, each with a discovery of its own."""
    run = extras.run("sprint")
    assert run["output"] == ["then", "after"]
    assert sorted(extras.bodies(run)) == ["after", "first", "slow", "then"]


def test_large_batch_is_fetched_by_the_sdk(extras: Extras) -> None:
    with ThreadPoolExecutor(3) as pool:
        sent = list(pool.map(lambda _: extras.send("batched", text=LARGE), range(3)))
    run = extras.api.run(sent[0], timeout=60)
    assert (run["status"], run["output"]) == ("Completed", [len(LARGE)] * 3), extras.app.log_tail()


def test_models(extras: Extras) -> None:
    if not extras.is_python:
        pytest.skip("models are Python's")
    assert extras.run("models", name="é", born="2000-01-01")["output"] == {
        "name": "é",
        "born": "1999-12-31",
    }


def test_code_that_changes_between_attempts(extras: Extras) -> None:
    run = extras.run("changed")
    assert run["output"] == ["kept", "renamed"]
    assert extras.bodies(run) == ["kept", "dropped", "broken", "inserted", "renamed"]
    run = extras.run("mended")
    assert run["output"] == {"attempt": 1}


def test_unplanned_step_fails_the_run(extras: Extras) -> None:
    """Requests for planned steps find another step first, which no SDK can handle."""
    run = extras.api.run(extras.send("unexpected"), timeout=90)
    assert run["status"] == "Failed", run
    assert set(extras.bodies(run)) == {"request"}
    told = 'found step "surprise" when targeting' if extras.is_python else "Could not find step"
    assert told in str(run["output"])


def test_middleware(extras: Extras) -> None:
    if not extras.is_python:
        pytest.skip("the TypeScript SDK's is shown with encryption")
    assert extras.run("stamped")["output"] == {"seen": True, "given": "given!"}


def test_encrypted_data_stays_encrypted(extras: Extras) -> None:
    run = extras.run("secret")

    def told() -> list[Any]:
        return [line["data"] for line in extras.app.effects() if line["step"] == "told"]

    assert wait_until(told, 20, "the event's function ran") == [{"given": "very private"}]
    trace = extras.api.gql(QUERIES["run"], id=run["run_id"])["trace"]
    outputs = [
        extras.api.gql(QUERIES["runTraceSpanOutputByID"], id=span["outputID"])["data"]
        for span in trace["childrenSpans"]
    ]
    assert outputs
    assert "very private" not in "".join(outputs)


def _post_signal(extras: Extras, signal: str) -> requests.Response:
    body = {"signal": signal, "data": {"n": 1}}
    return requests.post(f"{extras.api.url}/v1/signals", json=body, timeout=10)


def test_several_waits_for_one_signal(extras: Extras) -> None:
    if extras.is_python:
        pytest.skip("the Python SDK has no signals")
    signal = f"door/{extras.app.kind}"

    def wait(on_conflict: str, timeout: str) -> str:
        return extras.send("waiter", signal=signal, onConflict=on_conflict, timeout=timeout)

    def waits(event_id: str) -> bool:
        run_id = extras.api.runs(event_id)[0]["run_id"]
        shown = requests.get(f"{extras.api.url}/api/v1/runs/{run_id}", timeout=10).json()["data"]
        return [job["kind"] for job in shown["queued"]] == ["pause"]

    first = wait("fail", "6s")
    wait_until(lambda: waits(first), 20, "the first waits")
    refused = extras.api.run(wait("fail", "6s"))
    assert refused["status"] == "Failed"
    assert "Signal conflict" in refused["output"]["error"]["message"]
    second = wait("replace", "60s")
    wait_until(lambda: waits(second), 20, "the second waits")
    assert _post_signal(extras, signal).status_code == 200
    assert extras.api.run(second)["output"] == {"found": {"n": 1}}
    assert extras.api.run(first)["output"] == {"found": None}
    assert _post_signal(extras, signal).status_code == 404


def test_scores_and_inputs_in_the_timeline(extras: Extras) -> None:
    if extras.is_python:
        pytest.skip("the Python SDK does not tell what its steps were called with")
    run = extras.run("given")
    url = f"{extras.api.url}/v2/runs/{run['run_id']}"
    trace = f"{url}/trace?includeOutput=true"
    [step, *_] = requests.get(trace, timeout=10).json()["data"]["rootSpan"]["children"]
    assert (step["input"], step["output"]) == (["old", 7], ["old", 7])
    scores = [{"name": "taste", "value": 0.5}, {"name": "fit", "value": True, "stepId": "given"}]
    reply = requests.post(f"{url}/scores", json={"scores": scores}, timeout=10)
    assert reply.status_code == 200, reply.text
    root = requests.get(trace, timeout=10).json()["data"]["rootSpan"]
    kinds = [span["metadata"][0]["kind"] for span in (root, root["children"][0])]
    assert kinds == ["inngest.score", "inngest.score"]
    assert run["status"] in ENDED
