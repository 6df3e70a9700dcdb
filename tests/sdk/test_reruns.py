"""Reruns, invocations and bulk cancellations with the official SDKs."""

from datetime import UTC, datetime
from typing import Any

import requests

from tests.processes import wait_until

from .app_process import SdkApp
from .client import ENDED
from .conftest import Sent


def _post(sent: Sent, path: str, body: Any) -> Any:
    answered = requests.post(f"{sent.api.url}{path}", json=body, timeout=70)
    assert answered.status_code == 200, answered.text
    return answered.json()["data"]


def _ended(sent: Sent, run_id: str) -> dict[str, Any]:
    def read() -> dict[str, Any] | None:
        found = requests.get(f"{sent.api.url}/v1/runs/{run_id}", timeout=10).json()["data"]
        return found if found["status"] in ENDED else None

    run: dict[str, Any] = wait_until(read, 40, f"run {run_id} ended")
    return run


def _run(sent: Sent, scenario: str) -> dict[str, Any]:
    return sent.api.run(sent.api.send(f"{sent.app.kind}/{scenario}"))


def _rerun(sent: Sent, run_id: str, body: Any = None) -> dict[str, Any]:
    made = _post(sent, f"/v2/runs/{run_id}/rerun", body or {})
    run = _ended(sent, made["runId"])
    assert run["original_run_id"] == run_id
    return run


def test_rerun_from_the_start(sent: Sent) -> None:
    old = _run(sent, "sequential")
    new = _rerun(sent, old["run_id"])
    assert (new["status"], new["output"]) == ("Completed", [1, 2, 3])
    assert [line["step"] for line in sent.app.effects(new["run_id"])] == ["a", "b", "c"]


def test_rerun_from_a_step(sent: Sent) -> None:
    old = _run(sent, "sequential")
    new = _rerun(sent, old["run_id"], {"fromStep": {"stepId": "b"}})
    assert (new["status"], new["output"]) == ("Completed", [1, 2, 3])
    assert [line["step"] for line in sent.app.effects(new["run_id"])] == ["b", "c"]


def test_rerun_from_a_step_with_new_input(sent: Sent) -> None:
    old = _run(sent, "given")
    assert old["output"] == "old"
    body = {"fromStep": {"stepId": "given", "input": ["new"]}}
    new = _rerun(sent, old["run_id"], body)
    ran = [line["step"] for line in sent.app.effects(new["run_id"])]
    if sent.app.kind.startswith("python"):  # the Python SDK takes the input for the result
        assert (new["output"], ran) == ({"input": ["new"]}, [])
    else:
        assert (new["output"], ran) == ("new", ["given"])
        if isinstance(sent.app, SdkApp):
            assert sent.api.replay_check(new["run_id"], sent.app.url)["runs"] == []


def _submit(sent: Sent, run_id: str, **form: str) -> dict[str, Any]:
    """Send the form of the run's page that runs it again; return the new run at its end."""
    with requests.Session() as browser:
        page = browser.get(f"{sent.api.url}/apps", timeout=10).text
        token = page.split('name="csrf" value="')[1].split('"')[0]
        path = f"{sent.api.url}/runs/{run_id}/rerun"
        shown = browser.post(path, {"csrf": token, **form}, timeout=10)
    assert shown.status_code == 200, shown.text
    assert "given by hand" in shown.text or "data" in form
    return _ended(sent, shown.url.split("/runs/")[1].split("?")[0])


def test_a_result_given_by_hand_and_other_data(sent: Sent) -> None:
    old = _run(sent, "given")
    new = _submit(sent, old["run_id"], step="given", result='{"by": "hand"}')
    assert (new["status"], new["output"]) == ("Completed", {"by": "hand"})
    assert sent.app.effects(new["run_id"]) == []
    again = _submit(sent, old["run_id"], data='{"n": 77}')
    assert (again["status"], again["output"]) == ("Completed", "old")
    event = requests.get(f"{sent.api.url}/v1/events/{again['event_id']}", timeout=10).json()
    assert (event["data"]["name"], event["data"]["data"]) == (f"{sent.app.kind}/given", {"n": 77})


def test_invoke_and_wait(sent: Sent) -> None:
    path = f"/v2/apps/{sent.app.kind}/functions/sequential/invoke?wait=60"
    done = _post(sent, path, {"data": {"n": 2}})
    assert done["result"] == [1, 2, 3]
    assert done["completedAt"]


def test_cancel_sleeping_runs(sent: Sent) -> None:
    kind = sent.app.kind
    events = [sent.api.send(f"{kind}/nap", {"n": n}) for n in (1, 1, 2)]

    def asleep() -> bool:
        runs = [sent.api.runs(event_id)[0]["run_id"] for event_id in events]
        jobs = [
            requests.get(f"{sent.api.url}/v1/runs/{run}/jobs", timeout=10).json() for run in runs
        ]
        return all([job["kind"] for job in found["data"]] == ["sleep"] for found in jobs)

    wait_until(asleep, 40, "all runs sleep")
    body = {
        "app_id": kind,
        "function_id": "nap",
        "started_before": datetime.now(UTC).isoformat(),
        "if": "event.data.n == 1",
    }
    _post(sent, "/v1/cancellations", body)

    def statuses() -> list[str]:
        return [sent.api.runs(event_id)[0]["status"] for event_id in events]

    wanted = ["Cancelled", "Cancelled", "Running"]
    wait_until(lambda: statuses() == wanted, 20, "two of the runs were cancelled")
    run_id = sent.api.runs(events[2])[0]["run_id"]
    assert _post(sent, f"/v2/runs/{run_id}/cancel", None) == {"runId": run_id}
