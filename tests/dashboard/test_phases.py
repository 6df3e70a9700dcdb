"""What runs that have not ended do: in lists, filters, counts, answers and on pages."""

import re
from typing import Any

import pytest

from inngest_py.domain.runs.phases import Phase
from inngest_py.domain.runs.runs import LIVE, RunStatus
from inngest_py.storage.queries import run_detail
from tests.dashboard.conftest import Site, run_ids
from tests.engine.waiting import for_event
from tests.factories import op, reply

ERROR = {"name": "E", "message": "m"}
SLEEP, WAIT = op("Sleep", "nap", name="3d"), for_event()
FAIL = op("StepError", "bad", error=ERROR)


def _answering(site: Site, *ops: Any) -> str:
    site.engine.sdk.script = lambda request, target: reply(206, list(ops))
    run_id = site.engine.start()
    site.engine.drain()
    return run_id


def _shown(site: Site, run_id: str) -> str | None:
    told = site.client.get(f"/api/v1/runs/{run_id}").json
    listed = site.client.get("/api/v1/runs").json
    assert told is not None
    assert listed is not None
    phase: str | None = told["data"]["phase"]
    assert phase == next(run["phase"] for run in listed["data"] if run["id"] == run_id)
    why = site.client.get(f"/api/v1/runs/{run_id}/why").json
    assert why is not None
    assert why["data"]["phase"] == phase
    return phase


@pytest.mark.parametrize(
    ("ops", "phase"),
    [
        ([SLEEP], "sleeping"),
        ([WAIT], "waiting"),
        ([FAIL], "retrying"),
        ([SLEEP, WAIT], "waiting"),
        ([SLEEP, WAIT, op("StepPlanned", "bad")], "retrying"),
    ],
)
def test_a_run_that_has_begun_is_in_the_phase_of_its_items(
    site: Site, ops: list[Any], phase: str
) -> None:
    def script(request: dict[str, Any], target: str) -> Any:
        return reply(206, ops if target == "step" else [FAIL])

    site.engine.sdk.script = script
    run_id = site.engine.start()
    site.engine.drain()
    assert site.engine.run(run_id)["status"] == RunStatus.RUNNING
    assert _shown(site, run_id) == phase
    assert f'<span class="status {phase}">{phase}</span>' in site.get(f"/runs/{run_id}")


def test_a_step_that_sleeps_is_told_from_one_that_waits(site: Site) -> None:
    naps = [op("Sleep", f"nap {n}", name="3d") for n in range(5)]
    page = site.get(f"/runs/{_answering(site, SLEEP, WAIT)}")
    shown = re.findall(r'<span class="state"><span class="status (\w+)', page)
    assert shown[0] == "waiting" and sorted(shown[1:]) == ["sleeping", "waiting"]
    grouped = site.get(f"/runs/{_answering(site, *naps)}")
    assert "[0/5]" in grouped
    assert grouped.count('<span class="state"><span class="status sleeping">') == 2


def test_a_run_is_queued_then_executing_and_then_in_no_phase(site: Site) -> None:
    seen: list[str | None] = []

    def script(request: dict[str, Any], target: str) -> Any:
        seen.append(_shown(site, run_id))
        assert run_ids(site, phases=[Phase.EXECUTING], statuses=list(LIVE)) == [run_id]
        return reply(200, "done")

    site.engine.sdk.script = script
    run_id = site.engine.start()
    assert _shown(site, run_id) == "queued"
    site.engine.drain()
    assert seen == ["executing"]
    assert _shown(site, run_id) is None


def test_phases_are_filters_and_counts(site: Site) -> None:
    runs = {
        "sleeping": _answering(site, SLEEP),
        "waiting": _answering(site, WAIT),
        "retrying": _answering(site, FAIL),
    }
    site.engine.sdk.script = lambda request, target: reply(200, "done")
    ended = site.engine.start()
    site.engine.drain()
    runs["queued"] = site.engine.start()
    for phase, run_id in runs.items():
        found = site.client.get("/api/v1/runs", query_string={"phase": phase}).json
        assert found is not None
        assert [run["id"] for run in found["data"]] == [run_id]
        assert _listed(site, f"/runs?status={phase}") == {run_id}
    assert _listed(site, "/runs?status=executing") == set()
    two = {runs["waiting"], runs["sleeping"]}
    assert _listed(site, "/runs?status=waiting&status=sleeping") == two
    assert _listed(site, "/runs?status=waiting&status=completed") == {runs["waiting"], ended}
    begun = set(runs.values()) - {runs["queued"]}
    assert _listed(site, "/runs?status=running") == begun
    assert _listed(site, "/runs?status=running&status=queued") == set(runs.values())
    assert "must be one of executing, retrying" in site.get("/runs?status=odd", 400)
    assert site.client.get("/api/v1/runs?phase=odd").status_code == 400
    with site.engine.ctx.db.reading() as tx:
        counts, more = run_detail.in_phases(tx, 100)
    assert counts == {Phase.EXECUTING: 0, **{Phase(phase): 1 for phase in runs}}
    assert not more
    home = site.get("/")
    assert '<span class="figure">2</span><span class="sub">1 of them asleep' in home


def _listed(site: Site, path: str) -> set[str]:
    return set(re.findall(r'name="run" value="(\w+)"', site.get(path)))
