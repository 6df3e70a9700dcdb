"""The replay check with all SDKs: the code that made a run moves none of its steps.

It comes after the tests of the scenarios, which count how often the code between steps has run.
"""

from collections import Counter
from typing import Any

import pytest

from .app_process import SdkApp
from .conftest import SCENARIOS, Sent

_BETWEEN_STEPS = ("body", "child", "on_failure")  # what functions note themselves
_ONLY_TYPESCRIPT_4 = {"signal", "signal_timeout"}
_TOO_LARGE = "its event and results are over 4 MiB"


def _ran(app: SdkApp) -> Counter[Any]:
    return Counter(
        (line["run_id"], line["step"])
        for line in app.effects()
        if line["step"] not in _BETWEEN_STEPS
    )


def test_code_that_has_not_changed_moves_no_step_and_runs_none(sent: Sent) -> None:
    app = sent.app
    if not isinstance(app, SdkApp):
        pytest.skip("a connected worker has no serve endpoint")
    events = {name: event for name, event in sent.event_ids.items() if sent.api.runs(event)}
    assert set(SCENARIOS) - set(events) <= _ONLY_TYPESCRIPT_4
    runs = {name: sent.api.run(event) for name, event in events.items()}
    before, found = _ran(app), {}
    for name, run in runs.items():
        found[name] = sent.api.replay_check(run["run_id"], app.url)
    assert _TOO_LARGE in found.pop("large")
    assert {name: report["runs"] for name, report in found.items() if report["runs"]} == {}
    assert _ran(app) == before
