"""Every page shows what is stored, by templates in which a missing name is an error."""

from datetime import timedelta
from typing import Any

import pytest

from inngest_py.domain.runs.runs import RunStatus
from inngest_py.engine.upkeep.errors import grouping
from tests.dashboard.conftest import EVIL, Site, failing, run_ids
from tests.factories import op, reply, step
from tests.processes import wait_until


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/", "No app is connected yet"),
        ("/runs", "No runs yet"),
        ("/runs?status=failed", "No run matches"),
        ("/events", "No events yet"),
        ("/events?name=x", "No event matches"),
        ("/functions?q=zzz", "No function matches"),
        ("/queues", "No worker is alive"),
        ("/events/send", "Send an event"),
    ],
)
def test_empty_pages_say_what_to_do_next(site: Site, path: str, shown: str) -> None:
    if path == "/":
        apps = site.get("/apps")
        app_id = apps.split("/apps/")[-1].split("/")[0]
        site.post(f"/apps/{app_id}/archive")
    assert shown in site.get(path)


def test_pages_of_a_run_that_completed(site: Site) -> None:
    run_id = site.engine.start(data={"order": "A-1"})
    site.engine.drain()
    row = site.engine.run(run_id)
    assert row["status"] == RunStatus.COMPLETED
    page = site.get(f"/runs/{run_id}")
    for shown in ("app-fn", "completed", "one", "two", "A-1", "&#34;done&#34;: 2"):
        assert shown in page, shown
    assert "Finalization" not in page  # it tells people nothing
    assert step("one") not in page  # a hash is no fact
    assert "hx-trigger" not in page.split('id="live"')[1].split(">")[0]  # it will not change
    span = page.split(">one<")[0].split("data-span=")[-1].split('"')[1]
    chosen = site.get(f"/runs/{run_id}?span={span}")
    assert "Run this step again" in chosen
    assert run_id in site.get("/runs")
    assert "1 completed" in site.get("/")
    event = site.get(f"/events/{row['event_id']}")
    assert run_id in event
    assert "completed" in event
    assert run_id in site.get(f"/functions/{row['function_id']}")


def test_browser_at_an_unknown_path_gets_a_page(site: Site) -> None:
    lost = site.client.get("/rnus", headers={"Accept": "text/html,*/*;q=0.8"})
    assert lost.status_code == 404
    assert "there is no page at /rnus" in lost.text
    assert 'href="/runs"' in lost.text
    assert "default-src 'none'" in lost.headers["Content-Security-Policy"]
    other = site.client.get("/rnus", headers={"Accept": "*/*"})
    assert (other.status_code, other.mimetype) == (404, "application/json")
    form = site.client.get("/runs/bulk/none", headers={"Accept": "text/html"})
    only_posted = site.client.get("/apps/add", headers={"Accept": "text/html"})
    assert (form.mimetype, only_posted.mimetype) == ("text/html", "text/html")
    known = site.client.get("/v1/events/none", headers={"Accept": "text/html"})
    assert known.mimetype == "application/json"


def test_a_run_of_a_batch_lists_its_events(site: Site) -> None:
    site.engine.register(batchEvents={"maxSize": 3, "timeout": "60s"})
    sent = [site.send(data={"n": n}) for n in range(3)]
    site.engine.drain()
    (run_id,) = run_ids(site)
    shown = site.get(f"/runs/{run_id}")
    assert "(a batch of 3)" in shown
    listed = shown.split("Events of the batch")[1]
    assert [event_id for event_id in sent if f'href="/events/{event_id}"' in listed] == sent


def test_a_failed_run_shows_its_error_as_text(site: Site) -> None:
    site.engine.sdk.script = failing
    run_id = site.engine.start(name="a/b", data={"html": EVIL})
    site.engine.drain()
    page = site.get(f"/runs/{run_id}")
    assert "it broke &lt;script&gt;" in page
    assert "at line 1" in page
    assert EVIL not in page
    grouping.group(site.engine.ctx)
    assert "it broke &lt;script&gt;" in site.get("/")
    assert EVIL not in site.get("/")


def _step_fails(request: dict[str, Any], target: str) -> Any:
    """Fail a step at every attempt, and then the function with what it was told."""
    told = request["steps"].get(step("charge"))
    if told is None:
        error = {"name": "Declined", "message": "no funds"}
        last = request["ctx"]["attempt"] == 1
        return reply(206, [op("StepFailed" if last else "StepError", "charge", error=error)])
    return reply(500, {"name": "StepError", "message": "no funds"}, x_inngest_no_retry="true")


def _catches(request: dict[str, Any], target: str) -> Any:
    """Go on after a step's failure, and fail later of itself."""
    if step("charge") not in request["steps"] or step("note") in request["steps"]:
        return _step_fails(request, target)
    return reply(206, [op("StepRun", "note", data=1)])


@pytest.mark.parametrize(
    ("script", "failures"),
    [
        (_step_fails, 2),  # both attempts of the step
        (_catches, 3),  # and the function's own
        (failing, 1),
    ],
)
def test_failed_step_that_fails_its_function_counts_once(
    site: Site, script: Any, failures: int
) -> None:
    site.engine.register(retries=1)
    site.engine.sdk.script = script
    run_id = site.engine.start()
    site.engine.drain()
    site.engine.advance(seconds=30)
    site.engine.drain()
    assert site.engine.run(run_id)["status"] == RunStatus.FAILED
    wait_until(lambda: f"in which {failures} of " in site.get("/"), 30, "the whole hour")
    grouping.group(site.engine.ctx)
    assert '<td class="num">1</td>' in site.get("/").split('id="open-errors"')[1]


def _part_fails(request: dict[str, Any], target: str) -> Any:
    """Fail one of two steps before the other ends, and raise its error again."""
    message = f"order {request['event']['data']['order']} is out of stock"
    error = {"code": "step_errored", "message": message, "name": "ValueError"}
    if step("bad") in request["steps"]:
        return reply(500, error, x_inngest_no_retry="true")
    parts = [op("StepFailed", "bad", error=error | {"code": "unknown"}), op("StepRun", "good")]
    return reply(206, parts)


def test_home_leads_with_open_errors(site: Site) -> None:
    site.engine.sdk.script = _part_fails
    for order in ("17", "ord_8f1", "'red shoes'"):
        run_id = site.engine.start(data={"order": order})
        site.engine.drain()
        assert site.engine.run(run_id)["status"] == RunStatus.FAILED
    assert "open-errors" not in site.get("/")
    grouping.group(site.engine.ctx)
    before, _, errors = site.get("/").partition('id="open-errors"')
    assert "tile" not in before
    [row] = errors.split("<tr data-row>")[1:]
    assert '<td class="num">3</td>' in row
    assert "is out of stock" in row


def test_a_run_says_how_long_it_ran_and_how_long_it_was_queued(site: Site) -> None:
    run_id = site.engine.start()
    site.engine.now += timedelta(seconds=2.8)
    assert '<span data-elapsed="2800">2.8 s</span> in the queue' in site.get(f"/runs/{run_id}")
    site.engine.drain()
    assert "0 ms after 2.8 s in the queue" in site.get(f"/runs/{run_id}")
    location = site.post(f"/runs/{run_id}/rerun", step=step("two")).location
    page = site.get(location)
    assert page.count(">taken over<") == 1


def test_markup_in_names_and_searches_shows_as_text(site: Site) -> None:
    event_id = site.send(name=EVIL, data={"a": EVIL})
    for path in ("/events", f"/events/{event_id}", f"/events/send?like={event_id}"):
        page = site.get(path)
        assert EVIL not in page
        assert "&lt;script&gt;" in page
    for path in ("/runs", "/events", "/functions"):
        answered = site.client.get(path, query_string={"q": EVIL, "name": EVIL, "event": EVIL})
        assert EVIL not in answered.text


def test_large_values_are_shortened_with_a_download(site: Site) -> None:
    large = "x" * 100_000
    event_id = site.send(data={"large": large})
    page = site.get(f"/events/{event_id}")
    assert len(page) < 30_000
    assert "Download it" in page
    answered = site.client.get(f"/events/{event_id}/payload")
    assert large in answered.text
    assert answered.headers["Content-Disposition"].startswith("attachment")
    site.engine.sdk.script = lambda request, target: reply(200, {"big": large})
    run_id = site.engine.start()
    site.engine.drain()
    assert len(site.get(f"/runs/{run_id}")) < 40_000
    assert large in site.get(f"/runs/{run_id}/value?of=output")


def test_first_page_counts_until_it_has_the_whole_hour(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    asks_again, whole = "load delay:1s", "in which 0 of 0 attempts failed.</p>"
    monkeypatch.setattr("inngest_py.dashboard.live.minutes._BUDGET_SECONDS", -1)
    page = site.get("/")
    assert asks_again in page
    # the two minutes that are not over are counted at each look, and one more
    assert "the oldest 57 minutes are still being counted" in page
    assert whole not in page
    assert "the oldest 56 minutes are still being counted" in site.get("/")
    monkeypatch.setattr("inngest_py.dashboard.live.minutes._BUDGET_SECONDS", 3600)
    page = site.get("/")
    assert asks_again not in page
    assert whole in page


@pytest.mark.parametrize(
    "path",
    [
        "/runs/01JD0000000000000000000000",
        "/events/01JD0000000000000000000000",
        "/functions/nope",
        "/runs/01JD0000000000000000000000/value",
    ],
)
def test_missing_things_have_a_page_that_says_so(site: Site, path: str) -> None:
    page = site.get(path, 404)
    assert "does not exist" in page
    assert 'id="live"' in page  # takes the place of what was shown before it was deleted


def test_an_unforeseen_fault_is_a_page_that_keeps_its_details(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    def fault() -> None:
        raise RuntimeError("a detail")

    site.app.view_functions["ui.queues"] = fault
    page = site.get("/queues", 500)
    assert "<h1 class=" in page and "the server&#39;s log has more" in page
    assert "a detail" not in page
    [told] = [line for line in caplog.records if line.getMessage() == "api.failed"]
    assert told.exc_info is not None


def test_a_run_that_waits_says_why(site: Site) -> None:
    def napping(request: dict[str, Any], target: str) -> Any:
        return reply(206, [op("Sleep", "nap", name="1h")], x_inngest_req_version="2")

    site.engine.sdk.script = napping
    run_id = site.engine.start()
    site.engine.drain()
    shown = site.get(f"/runs/{run_id}").split('class="waiting">')
    assert len(shown) == 2
    assert "nap" in shown[1].split("</p>")[0]
    site.engine.sdk.script = lambda request, target: reply(200, {})
    site.engine.advance(hours=1)
    assert 'class="waiting"' not in site.get(f"/runs/{run_id}")


def test_waiting_lines_are_shown_with_their_keys(site: Site) -> None:
    limit = {"limit": 1, "key": "event.data.tenant"}
    site.engine.register(concurrency=[limit], throttle={"limit": 1, "period": "1h"})
    for tenant in ("acme", "acme", "globex"):
        site.engine.start(data={"tenant": tenant})
    site.engine.drain()
    page = site.get("/queues").split('id="lines"')[1].split("</section>")[0]
    assert "throttle, 1 start in 1h" in page
    site.engine.register(concurrency=[limit])
    for _ in range(2):
        site.engine.start(data={"tenant": EVIL})
    page = site.get("/queues").split('id="lines"')[1].split("</section>")[0]
    assert "1 step at a time" in page
    assert "event.data.tenant</code> = &lt;script&gt;" in page
    assert EVIL not in page


def test_event_lists_functions_with_other_triggers(site: Site) -> None:
    page = site.get(f"/events/{site.send(name='nobody/listens')}")
    assert "1 other function listens to something else" in page
    assert "app-fn" in page.split("something else")[1]
