"""Pruned runs are not found, and rows that refer to them are still shown."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from inngest_py.domain.runs.retention import Keep
from inngest_py.engine.admin import rerun
from inngest_py.engine.upkeep.pruning import Pruning
from inngest_py.storage.db.session import Database
from tests.api.gql import TRACE
from tests.dashboard.conftest import Site
from tests.engine import waiting
from tests.engine.flow import rows
from tests.factories import op

MISSING = "01JD0000000000000000000000"


def pruned(site: Site, age: timedelta) -> None:
    site.engine.ctx.tuning = replace(site.engine.ctx.tuning, keep=Keep(age))
    service = Pruning()
    service.run_once(site.engine.ctx)
    while service.rest is not None:
        service.run_once(site.engine.ctx)


@pytest.fixture
def site(db: Database) -> Site:
    return Site(db)


def paths(run_id: str, event_id: str) -> list[str]:
    runs = ["/v1/runs/{}", "/v1/runs/{}/jobs", "/v1/runs/{}/why", "/v2/runs/{}", "/api/v1/runs/{}"]
    runs += ["/v2/runs/{}/trace", "/runs/{}"]
    events = ["/v1/events/{}", "/v1/events/{}/why", "/events/{}"]
    return [path.format(run_id) for path in runs] + [path.format(event_id) for path in events]


def asked(site: Site, path: str) -> Any:
    answered = site.client.get(path)
    body = (answered.json or {}) if answered.is_json else answered.text
    return answered.status_code, body


def test_deleted_run_is_not_found(site: Site) -> None:
    run_id = site.engine.start()
    event_id = site.engine.run(run_id)["event_id"]
    site.engine.drain()
    for path in paths(run_id, event_id):
        assert asked(site, path)[0] == 200, path
    site.engine.advance(days=3)
    pruned(site, timedelta(days=1))
    for path in [*paths(run_id, event_id), f"/v0/runs/{run_id}/actions"]:
        status, body = asked(site, path)
        never = asked(site, path.replace(run_id, MISSING).replace(event_id, MISSING))
        assert status == never[0], path
        assert status == (410 if path.endswith("/actions") else 404), path
        if not isinstance(body, str):
            assert "error" in str(body), path
    post = site.client.post
    for path in (f"/v2/runs/{run_id}/rerun", f"/v2/runs/{run_id}/cancel"):
        assert post(path, json={}).status_code == 404, path
    assert post(f"/v1/runs/{run_id}/metadata", json={"metadata": []}).status_code in (400, 404)
    query = {
        "query": f'{{ run(runID: "{run_id}") {{ id }} runTrace(runID: "{run_id}") {{ runID }} }}'
    }
    answered = post("/v0/gql", json=query).json
    assert answered["data"] is None or set(answered["data"].values()) == {None}
    assert site.client.get("/v1/events").json["data"] == []
    assert site.client.get("/api/v1/runs").json["data"] == []


def test_rows_that_refer_to_a_deleted_run_are_shown(site: Site) -> None:
    """A parent run shows the step that invoked a deleted run; a rerun of it is shown, too."""
    nap = waiting.waits(waiting.invoke(), op("Sleep", "nap", name="300d"))
    scripts = {"a/parent": nap, "inngest/function.invoked": waiting.returning(200, {"n": 1})}
    site.engine.sdk.script = waiting.by_event(scripts)
    waiting.add_functions(site.engine, {"app-parent": "a/parent", "app-child": "a/child"})
    parent = site.engine.start(name="a/parent")
    site.engine.drain()
    (child,) = [row[0] for row in rows(site.engine.ctx.db, _ENDED)]
    site.engine.advance(hours=47)
    again = rerun.rerun(site.engine.ctx, child)
    site.engine.drain()
    site.engine.advance(hours=2)
    pruned(site, timedelta(days=2))
    assert [row[0] for row in rows(site.engine.ctx.db, _ALL)] == sorted([parent, again])
    assert asked(site, f"/runs/{child}")[0] == 404
    for run_id in (parent, again):
        for path in paths(run_id, site.engine.run(run_id)["event_id"]):
            assert asked(site, path)[0] == 200, path
        query = {"query": f'{{ runTrace(runID: "{run_id}") {{ {TRACE} }} }}'}
        answered = site.client.post("/v0/gql", json=query).json
        assert "errors" not in answered
    listed = site.client.get("/v2/runs").json["data"]
    assert {one["id"] for one in listed} == {parent, again}


_ENDED = "SELECT id FROM runs WHERE ended_at IS NOT NULL"
_ALL = "SELECT id FROM runs ORDER BY id"
