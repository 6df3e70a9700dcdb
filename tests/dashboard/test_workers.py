"""The pages of workers: what each is, what it has, and what it did in the last hour."""

from datetime import timedelta
from typing import Any

import pytest

from inngest_py.engine.connect import answers
from inngest_py.engine.upkeep.workers import Presence
from inngest_py.storage.db.session import Database
from inngest_py.storage.queries.workers import lately
from inngest_py.version import __version__
from tests.dashboard.conftest import EVIL, Site, failing
from tests.engine.test_connected_calls import Begun
from tests.factories import op, reply

NAME = f"inngest-py@host{EVIL}"


@pytest.fixture
def working(site: Site) -> Site:
    """A site whose process works under a name."""
    site.engine.ctx.worker_name = NAME
    Presence(NAME, "gevent", 100).heartbeat(site.engine.ctx)
    return site


def run(site: Site, script: Any = None) -> str:
    if script is not None:
        site.engine.sdk.script = script
    run_id = site.engine.start()
    site.engine.drain()
    return run_id


def test_a_worker_says_what_it_is_and_did(working: Site) -> None:
    ended, failed = run(working), run(working, failing)
    path = f"/workers/{working.engine.ctx.worker_id}"
    assert f'href="{path}"' in working.get("/queues")
    page = working.get(path)
    assert EVIL not in page
    for shown in ("inngest-py@host&lt;", __version__, "gevent", "of 100", "Last hour"):
        assert shown in page
    assert f'href="/runs/{ended}"' in page
    assert f'href="/runs/{failed}"' in page
    found = _lately(working, NAME)
    assert (found.count, found.failures, found.is_cut) == (4, 1, False)
    assert found.p95 is not None
    assert "Nothing is in flight." in page


def test_a_function_that_raises_the_error_of_its_step_failed_once(working: Site) -> None:
    error = {"name": "Boom", "message": "no"}

    def script(request: dict[str, Any], target: str) -> Any:
        if request["steps"]:
            return reply(500, {"code": "step_errored", **error}, x_inngest_no_retry="true")
        return reply(206, [op("StepFailed", "bad", error=error)])

    run(working, script)
    found = _lately(working, NAME)
    assert (found.count, found.failures) == (2, 1)


def _lately(site: Site, worker: str) -> lately.Lately:
    with site.engine.ctx.db.reading() as tx:
        return lately.of_worker(tx, worker, site.engine.ctx.now())


def test_only_the_last_hour_of_that_worker_counts(
    working: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(working)
    assert _lately(working, "another").count == 0
    working.engine.now += timedelta(minutes=50)
    run(working)
    assert _lately(working, NAME).count == 6
    working.engine.now += timedelta(minutes=20)
    found = _lately(working, NAME)
    assert (found.count, found.since) == (3, working.engine.now - lately.HOUR)
    monkeypatch.setattr(lately, "MOST_READ", 2)
    found = _lately(working, NAME)
    assert (found.count, found.is_cut) == (2, True)
    assert found.since > working.engine.now - lately.HOUR
    assert "Since " in working.get(f"/workers/{working.engine.ctx.worker_id}")


def test_an_attempt_says_which_worker_made_it(working: Site) -> None:
    run_id = run(working)
    found = working.client.get(f"/api/v1/runs/{run_id}").json["data"]["attempts"]
    assert {one["worker"] for one in found} == {NAME}
    steps = [one for one in working.get(f"/runs/{run_id}").split("data-span=") if "span=" in one]
    assert steps
    shown = [working.get(f"/runs/{run_id}?span={one.split(chr(34))[1]}") for one in steps[:4]]
    assert any('<dt>Worker</dt><dd class="id">inngest-py@host' in page for page in shown)


def test_an_unknown_worker_is_told_so(site: Site) -> None:
    assert "it has stopped" in site.get("/workers/nobody", 404)
    assert "there is no connection" in site.get("/connections/nobody", 404)


def test_a_connected_worker_is_named_by_its_attempts(db: Database) -> None:
    begun = Begun(db)
    begun.worker.instance = "worker-1"
    answers.take(begun.engine.ctx, begun.request.id, reply(200, "done"), begun.worker)
    assert begun.ended()[0] == "completed"
    with db.reading() as tx:
        found = lately.of_worker(tx, "connect:worker-1", begun.engine.ctx.now())
    assert (found.count, found.failures) == (1, 0)
    assert found.newest[0]["run_id"] == begun.run_id
