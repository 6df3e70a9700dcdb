"""Every page shows what is stored, by templates in which a missing name is an error."""

import csv
import io
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from inngest_py.domain import reach
from inngest_py.domain.runs import RunStatus
from inngest_py.storage import functions, run_list
from tests.dashboard.conftest import Site
from tests.factories import op, reply, step

EVIL = "<script>alert(1)</script>\"'&"


def failing(request: dict[str, Any], target: str) -> Any:
    error = {"name": "Boom", "message": f"it broke {EVIL}", "stack": "at line 1"}
    return reply(500, error, x_inngest_no_retry="true")


def run_ids(site: Site, **query: Any) -> list[str]:
    with site.engine.ctx.db.reading() as tx:
        rows = run_list.page(tx, run_list.RunQuery(**query), run_list.BY_ID, limit=100)
    return [row["id"] for row in rows]


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
    for shown in ("app-fn", "completed", "one", "two", "Finalization", "A-1", "&#34;done&#34;: 2"):
        assert shown in page, shown
    assert "hx-trigger" not in page.split('id="live"')[1].split(">")[0]  # it will not change
    span = page.split(">one<")[0].split("span=")[-1].split('"')[0]
    chosen = site.get(f"/runs/{run_id}?span={span}")
    assert "Run again from this step" in chosen
    assert run_id in site.get("/runs")
    assert "1 completed" in site.get("/")
    event = site.get(f"/events/{row['event_id']}")
    assert run_id in event
    assert "completed" in event
    assert run_id in site.get(f"/functions/{row['function_id']}")


def test_a_browser_that_is_lost_is_told_so_on_a_page(site: Site) -> None:
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
    home = site.get("/")
    assert "it broke &lt;script&gt;" in home
    assert EVIL not in home


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
def test_a_step_s_failure_that_fails_the_function_counts_once(
    site: Site, script: Any, failures: int
) -> None:
    site.engine.register(retries=1)
    site.engine.sdk.script = script
    run_id = site.engine.start()
    site.engine.drain()
    site.engine.advance(seconds=30)
    site.engine.drain()
    assert site.engine.run(run_id)["status"] == RunStatus.FAILED
    home = site.get("/")
    assert f"{failures} failed attempts of" in home
    assert f'<td class="num">{failures}</td>' in home.split('id="top-errors"')[1]


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


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {0, 1, 2}),
        ("status=completed", {0, 1}),
        ("status=completed&status=failed", {0, 1, 2}),
        ("status=failed&function=app-fn", {2}),
        ("app=app", {0, 1, 2}),
        ("app=other", set()),
        ("event=a/b", {0, 1, 2}),
        ("event=a/c", set()),
        ("q=needle", {1}),
        ("q=NEEDLE", {1}),
        ("q=100%25", set()),
        ("cel=event.data.n+%3D%3D+1", {1}),
        ("cel=event.data.n+%3E+0", {1, 2}),
        ("cel=event.data.n+%3E+0+%26%26+output.done+%3D%3D+2", {1}),
        ("since=1h", {0, 1, 2}),
        ("until=2020-01-01T00:00:00Z", set()),
        ("from=2020-01-01T00:00&tz=-60", {0, 1, 2}),
        ("from=2030-01-01T00:00&tz=0", set()),
    ],
)
def test_filters_of_runs(site: Site, query: str, found: set[int]) -> None:
    ids = [site.engine.start(data={"n": n, "text": ("hay", "a needle")[n]}) for n in (0, 1)]
    site.engine.drain()
    site.engine.sdk.script = failing
    ids.append(site.engine.start(data={"n": 2}))
    site.engine.drain()
    page = site.get(f"/runs?{query}")
    assert {place for place, run_id in enumerate(ids) if f"/runs/{run_id}" in page} == found
    rows = list(csv.DictReader(io.StringIO(site.get(f"/runs/export.csv?{query}"))))
    assert {row["id"] for row in rows} == {ids[place] for place in found}
    assert len(site.client.get(f"/runs/export.json?{query}").json) == len(found)


@pytest.mark.parametrize(
    "query",
    [
        "status=odd",
        "since=9y",
        "from=soon",
        "before=x",
        "cel=event.",
        "cel=nope.x",
        "tz=z&from=1",
    ],
)
def test_bad_filters_name_themselves(site: Site, query: str) -> None:
    answered = site.client.get(f"/runs?{query}")
    assert answered.status_code == 400
    assert 'role="alert"' in answered.text
    assert "No run matches" not in answered.text  # nobody has looked
    assert "hx-get" not in answered.text  # nor does the page ask for the same error on every news


def test_a_list_follows_the_news(site: Site) -> None:
    assert "hx-get" in site.get("/runs")
    assert "hx-get" in site.get("/events")
    assert "hx-get" not in site.client.get("/events?cel=event.").text


def test_home_counts_on_until_it_has_the_hour(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    asks_again, calm = "load delay:1s", "No attempt has failed in the last hour"
    monkeypatch.setattr("inngest_py.dashboard.minutes._BUDGET_SECONDS", -1)
    page = site.get("/")
    assert asks_again in page
    assert "the oldest 60 minutes are still being counted" in page
    assert calm not in page
    monkeypatch.setattr("inngest_py.dashboard.minutes._BUDGET_SECONDS", 3600)
    page = site.get("/")
    assert asks_again not in page
    assert calm in page


def test_pages_go_on_behind_a_run(site: Site) -> None:
    ids = [site.engine.start() for _ in range(55)]
    first = site.get("/runs")
    following = first.split('rel="next"')[0].split('href="')[-1].split('"')[0]
    second = site.get(following.replace("&amp;", "&"))
    seen = [sum(f'/runs/{run_id}"' in page for run_id in ids) for page in (first, second)]
    assert seen == [50, 5]
    assert 'rel="next"' not in second


def test_cancel_and_rerun(site: Site) -> None:
    run_id = site.engine.start()
    assert "done=cancelled" in site.post(f"/runs/{run_id}/cancel").location
    assert site.engine.run(run_id)["status"] == RunStatus.CANCELLED
    assert "done=ended" in site.post(f"/runs/{run_id}/cancel").location
    again = site.post(f"/runs/{run_id}/rerun").location
    page = site.get(again)
    assert "Repeats" in page
    assert run_id in page
    assert "Repeated by" in site.get(f"/runs/{run_id}")


def test_rerun_from_a_step_with_new_input(site: Site) -> None:
    run_id = site.engine.start()
    site.engine.drain()
    hashed = step("two")
    span = site.get(f"/runs/{run_id}").split(">two<")[0].split("span=")[-1].split('"')[0]
    typed = {"step": hashed, "span": span, "input": "{not json"}
    bad = site.post(f"/runs/{run_id}/rerun", 400, **typed)
    assert "{not json" in bad.text  # nobody has to type it again
    made = site.post(f"/runs/{run_id}/rerun", step=hashed, input='[{"amount": 12}]').location
    new_id = made.split("/runs/")[1].split("?")[0]
    assert site.engine.run(new_id)["input_step"] == hashed
    assert site.engine.memo(new_id) == {step("one"): {"data": 0}}


def test_many_at_once(site: Site) -> None:
    ids = [site.engine.start() for _ in range(4)]
    done = site.post("/runs/bulk", action="cancel", run=ids[:2]).location
    assert "n=2&m=0" in done
    assert "2 cancelled" in site.get(done)
    done = site.post("/runs/bulk", action="cancel", all="1", filters="function=app-fn").location
    assert "n=2&m=0" in done
    assert all(site.engine.run(run_id)["status"] == RunStatus.CANCELLED for run_id in ids)
    done = site.post("/runs/bulk", action="rerun", all="1", filters="status=cancelled").location
    assert "n=4&m=0" in done
    assert len(run_ids(site)) == 8
    assert "choose runs first" in site.post("/runs/bulk", 400, action="cancel").text


def test_pause_resume_and_invoke(site: Site) -> None:
    function_id = site.engine.run(site.engine.start())["function_id"]
    path = f"/functions/{function_id}"
    site.post(f"{path}/pause", events="skip")
    assert "Paused since" in site.get(path)
    event_id = site.send(data={})
    assert "skipped: the function was paused" in site.get(f"/events/{event_id}")
    site.post(f"{path}/resume")
    assert "Paused since" not in site.get(path)
    made = site.post(f"{path}/invoke", data='{"a": 1}').location
    assert "Run again" in site.get(made)
    assert "is not JSON" in site.post(f"{path}/invoke", 400, data="{").text


def test_sending_an_event(site: Site) -> None:
    sent = site.post("/events/send", name="a/b", data='{"a": 1}', user="", id="")
    page = site.get(sent.location)
    assert "The event was stored" in page
    assert "queued" in page
    assert "an operator, dev" in page
    assert "a client" in site.get(f"/events/{site.send(data={})}")
    for form in ({"name": "", "data": "{}"}, {"name": "a/b", "data": "{"}, {"name": "inngest/x"}):
        assert 'role="alert"' in site.post("/events/send", 400, **form).text


def test_apps_show_their_errors_with_the_fix(site: Site) -> None:
    site.engine.sdk.script = lambda request, target: reply(404, {})
    site.engine.ctx.transport.send = lambda *_, **__: reply(404, {})  # type: ignore[method-assign]
    added = site.post("/apps/add", url="http://localhost:9/api/inngest")
    page = site.get(added.headers["Location"])
    assert "and did not" in page
    assert "url_not_found" in page
    assert "serve endpoint" in page
    assert site.post("/apps/add", 400, url="no url").text.count('role="alert"') == 1


def test_apps_out_of_reach_are_refused_with_the_setting(site: Site) -> None:
    ctx = site.engine.ctx
    with ctx.db.reading() as tx:
        [app] = functions.apps(tx)
    host = urlsplit(app["url"]).hostname
    ctx.tuning = replace(ctx.tuning, reach=reach.parse([f"!{host}"], dev=True))
    for path, form in (("/apps/add", {"url": app["url"]}), (f"/apps/{app['id']}/sync", {})):
        refused = site.post(path, 400, **form).text
        assert "INNGEST_CALL_HOSTS" in refused
        assert str(host) in refused


@pytest.mark.parametrize(
    "path",
    [
        "/runs/01JD0000000000000000000000",
        "/events/01JD0000000000000000000000",
        "/functions/nope",
        "/runs/01JD0000000000000000000000/value",
    ],
)
def test_what_is_not_there_is_said_so(site: Site, path: str) -> None:
    page = site.get(path, 404)
    assert "does not exist" in page
    assert 'id="live"' in page  # takes the place of what was shown before it was deleted


def test_a_deep_list_of_steps_is_bounded(site: Site) -> None:
    names = [f"s{n}" for n in range(600)]
    ops = [op("StepRun", name, data=0) for name in names]
    replies = [reply(206, ops, x_inngest_req_version="2"), reply(200, {})]
    site.engine.sdk.script = lambda request, target: replies[bool(request["steps"])]
    run_id = site.engine.start()
    site.engine.drain()
    page = site.get(f"/runs/{run_id}")
    assert page.count("data-row") == 400
    assert "more parts are not shown" in page


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


def test_limits_are_changed_for_a_while_and_back(site: Site) -> None:
    function_id = site.engine.run(site.engine.start())["function_id"]
    path = f"/functions/{function_id}"
    sent = site.post(f"{path}/limits", limits='{"concurrency": 3}', term="1h").location
    page = site.get(sent)
    for shown in ("3 steps at a time", "Overridden until", "by dev", "The limits are changed"):
        assert shown in page
    for limits, term, said in (
        ('{"concurrency": -1', "", "not JSON"),
        ('{"concurrency": "x"}', "", "concurrency"),
        ("[]", "", "must be an object"),
        ("", "", "sets no limit"),
        ('{"throttle": null}', "9y", "term"),
    ):
        refused = site.post(f"{path}/limits", 400, limits=limits, term=term).text
        assert said in refused.split('role="alert">')[1].split("</p>")[0]
        assert "<details open" in refused.replace('class="rerun" ', "")  # with what was typed
    site.post(f"{path}/limits/restore")
    assert "Overridden" not in site.get(path)
    assert "does not exist" in site.post("/functions/nope/limits", 404, limits="{}").text


def test_lines_before_limits_are_shown_with_their_keys(site: Site) -> None:
    limit = {"limit": 1, "key": "event.data.tenant"}
    site.engine.register(concurrency=[limit], throttle={"limit": 1, "period": "1h"})
    for tenant in ("acme", "acme", "globex"):
        site.engine.start(data={"tenant": tenant})
    site.engine.drain()
    page = site.get("/queues").split('id="lines"')[1].split("</section>")[0]
    assert "throttle, 1 a period" in page
    site.engine.register(concurrency=[limit])
    for _ in range(2):
        site.engine.start(data={"tenant": EVIL})
    page = site.get("/queues").split('id="lines"')[1].split("</section>")[0]
    assert "1 step at a time" in page
    assert "event.data.tenant</code> = &lt;script&gt;" in page
    assert EVIL not in page


def test_an_event_names_those_that_listen_to_others(site: Site) -> None:
    page = site.get(f"/events/{site.send(name='nobody/listens')}")
    assert "1 other function listens to something else" in page
    assert "app-fn" in page.split("something else")[1]


def test_searches_go_on_where_they_stopped(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("_WINDOW", 2), ("_MOST_WINDOW", 2), ("MOST_SCANNED", 4)):
        monkeypatch.setattr(f"inngest_py.dashboard.lists.{name}", value)
    needle = site.engine.start(data={"text": "needle"})
    for _ in range(6):
        site.engine.now += timedelta(seconds=1)
        site.engine.start()
    path, looks = "/runs?q=needle", 0
    while needle not in (page := site.get(path)):
        assert "and found none" in page
        path = page.split('rel="next"')[0].split('href="')[-1].split('"')[0].replace("&amp;", "&")
        looks += 1
    assert looks in (1, 2, 3)  # 4 at a look, or 2 where the time was up
    assert 'rel="next"' not in page
