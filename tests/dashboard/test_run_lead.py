"""What the page of a run leads with: where it failed, what it retries, who cancelled it."""

import re
from datetime import timedelta
from html import unescape
from typing import Any

from markupsafe import escape

from inngest_py.domain.runs.runs import RunStatus
from inngest_py.engine.runtime.audit import Actor
from inngest_py.engine.work.end_run import cancel
from tests.dashboard.conftest import EVIL, Site
from tests.factories import op, reply, step

_TAGS = re.compile(r"<[^>]+>")


def lead(page: str) -> str:
    """Read the sentence that a page leads with, without its markup and buttons."""
    found = page.split('id="lead"', 1)[1].split("</p>", 1)[0].partition(">")[2]
    return " ".join(unescape(_TAGS.sub("", found)).split())


def _reserve_fails(request: dict[str, Any], target: str) -> Any:
    """Run a step, fail the next at every attempt, and then the function with what it was told."""
    error = {"name": "Empty", "message": f"no stock {EVIL}"}
    if step("load") not in request["steps"]:
        return reply(206, [op("StepRun", "load", data=1)])
    if step("reserve") in request["steps"]:
        return reply(500, error, x_inngest_no_retry="true")
    last = request["ctx"]["attempt"] == 1
    return reply(206, [op("StepFailed" if last else "StepError", "reserve", error=error)])


def _naps(request: dict[str, Any], target: str) -> Any:
    return reply(206, [op("Sleep", "nap", name="1h")], x_inngest_req_version="2")


def test_a_failed_run_leads_with_its_step_and_selects_it(site: Site) -> None:
    site.engine.register(retries=1)
    site.engine.sdk.script = _reserve_fails
    run_id = site.engine.start()
    site.engine.drain()
    page = site.get(f"/runs/{run_id}")
    retrying = lead(page)
    assert retrying.startswith("Retrying reserve, attempt 2 of 2, next ")
    assert f"no stock {EVIL}" in retrying
    site.engine.advance(seconds=30)
    assert site.engine.run(run_id)["status"] == RunStatus.FAILED
    page = site.get(f"/runs/{run_id}")
    assert lead(page).startswith("Failed at reserve, attempt 2 of 2, ")
    assert f"Empty: no stock {EVIL}" in lead(page)
    assert EVIL not in page
    [chosen] = re.findall(r'aria-current="true">\s*<span class="name" title="([^"]+)"', page)
    assert chosen == "reserve"
    again = site.post(f"/runs/{run_id}/rerun", step=step("reserve")).location
    assert site.engine.memo(again.split("/runs/")[1].split("?")[0]) == {step("load"): {"data": 1}}


def test_a_function_fails_in_its_own_code(site: Site) -> None:
    site.engine.sdk.script = lambda request, target: reply(
        500, {"name": "Boom", "message": "bad"}, x_inngest_no_retry="true"
    )
    run_id = site.engine.start()
    site.engine.drain()
    found = lead(site.get(f"/runs/{run_id}"))
    assert found.startswith("Failed in the function's own code, attempt 1 of 3, with an error")
    assert found.endswith(": Boom: bad")


def test_a_failed_attempt_shows_the_headers_of_its_answer(site: Site) -> None:
    secret = {"set_cookie": "s3cret", "x_served_by": f"shop-3 {EVIL}"}
    site.engine.sdk.script = lambda request, target: reply(
        500, {"name": "Boom", "message": "bad"}, x_inngest_no_retry="true", **secret
    )
    run_id = site.engine.start()
    site.engine.drain()
    page = site.get(f"/runs/{run_id}")
    shown = page.split('id="answer-headers"', 1)[1].split("</details>", 1)[0]
    assert f'<dd class="id">{escape(f"shop-3 {EVIL}")}</dd>' in shown
    assert '<dt>set-cookie</dt><dd class="id">(hidden)</dd>' in shown
    assert "s3cret" not in page
    site.engine.sdk.script = lambda request, target: reply(200, 1, **secret)
    run_id = site.engine.start()
    site.engine.drain()
    assert "answer-headers" not in site.get(f"/runs/{run_id}")


def test_a_run_says_who_cancelled_it(site: Site) -> None:
    by_page, by_api = site.engine.start(), site.engine.start()
    site.post(f"/runs/{by_page}/cancel")
    cancel(site.engine.ctx, by_api, Actor("signing key 12ab", claim="ann"))
    unknown = site.engine.start()
    cancel(site.engine.ctx, unknown)
    assert re.match(r"Cancelled by \S", lead(site.get(f"/runs/{by_page}")))
    assert lead(site.get(f"/runs/{by_api}")).startswith("Cancelled by signing key 12ab (as ann), ")
    assert lead(site.get(f"/runs/{unknown}")).endswith(": Cancelled by request.")


def test_a_run_names_the_event_that_cancelled_it(site: Site) -> None:
    site.engine.sdk.script = _naps
    site.engine.register(cancel=[{"event": "order/withdrawn"}])
    run_id = site.engine.start()
    site.engine.now += timedelta(milliseconds=1)  # ids of the same millisecond have no order
    event_id = site.send(name="order/withdrawn")
    site.engine.advance(seconds=1)
    page = site.get(f"/runs/{run_id}")
    assert lead(page).startswith("Cancelled by the event order/withdrawn, ")
    assert f'href="/events/{event_id}"' in page.split('id="lead"')[1].split("</p>")[0]


def test_a_run_says_which_time_out_it_exceeded(site: Site) -> None:
    site.engine.register(timeouts={"start": "10s"})
    run_id = site.engine.start()
    site.engine.hinted.hints.clear()
    site.engine.advance(seconds=11)
    assert "did not start within 10 s (timeouts.start)" in lead(site.get(f"/runs/{run_id}"))


def test_runs_of_a_singleton_name_the_other_run(site: Site) -> None:
    site.engine.sdk.script = _naps
    site.engine.register(singleton={"mode": "skip"})
    holder, skipped = site.engine.start(), site.engine.start()
    found = lead(site.get(f"/runs/{skipped}"))
    assert found == f"Skipped: the singleton's key was held by {holder}"
    site.engine.register(singleton={"mode": "cancel"})
    newer = site.engine.start()
    site.engine.advance(seconds=1)
    found = lead(site.get(f"/runs/{holder}"))
    assert found.startswith(f"Cancelled by a newer run of the singleton, {newer}")
