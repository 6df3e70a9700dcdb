"""The pages of errors, and the forms that mute, resolve and open one."""

import re
from datetime import timedelta

import pytest

from inngest_py.engine.upkeep.errors import grouping
from tests.dashboard.conftest import EVIL, Site, failing
from tests.factories import reply

_LINK = re.compile(r'href="/errors/([0-9A-Z]{26})"')


def fail(site: Site, message: str | None = None) -> str:
    """Let a run fail, and group it; return the run."""
    engine = site.engine
    engine.sdk.script = failing
    if message is not None:
        error = {"name": "Gone", "message": message, "stack": "  at load (/srv/app/stock.js:3:4)"}
        engine.sdk.script = lambda request, target: reply(500, error, x_inngest_no_retry="true")
    engine.now += timedelta(seconds=1)
    run_id = engine.start()
    engine.drain()
    grouping.group(engine.ctx)
    return run_id


def listed(site: Site, query: str = "") -> list[str]:
    return _LINK.findall(site.get(f"/errors{query}"))


def test_errors_are_listed_with_filters_and_tabs(site: Site) -> None:
    assert "No open errors" in site.get("/errors")
    fail(site)
    fail(site, "no tea")
    tea, boom = listed(site)
    page = site.get("/errors")
    assert EVIL not in page
    assert "1 in the last 24 hours, at most 1 in one" in page
    assert page.count("new since deploy") == 2
    assert listed(site, "?q=TEA") == listed(site, "?q=Gone") == [tea]
    assert listed(site, "?order=first_seen&since=1h&function=app-fn&app=app") == [tea, boom]
    assert "No error matches" in site.get("/errors?app=nobody")
    assert "No muted errors" in site.get("/errors?state=muted")
    for query in ("state=x", "order=x", "since=x", "after=x", f"q={'x' * 501}"):
        assert query.partition("=")[0] in site.get(f"/errors?{query}", 400)


def test_the_list_goes_on(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inngest_py.dashboard.parts.lists.PAGE", 1)
    fail(site)
    fail(site, "no tea")
    page = site.get("/errors")
    [first] = _LINK.findall(page)
    following = re.search(r'href="(/errors\?[^"]*after=[^"]*)" rel="next"', page)
    assert following is not None
    [second] = _LINK.findall(site.get(following[1].replace("&amp;", "&")))
    assert first != second


def test_an_error_is_shown_muted_resolved_and_opened(site: Site) -> None:
    run_id = fail(site, "no tea")
    [error_id] = listed(site)
    path = f"/errors/{error_id}"
    page = site.get(path)
    for told in ("<h1>Gone</h1>", "no tea", "app/stock.js:load", "js v4.0.0", f"/runs/{run_id}"):
        assert told in page
    assert site.post(f"{path}/state", state="muted", **{"for": "1d"}).location == path
    assert "The error is muted" in site.get(path)
    assert "muted until" in site.get(path)
    assert listed(site) == []
    assert listed(site, "?state=muted") == [error_id]
    site.post(f"{path}/state", state="resolved")
    assert listed(site, "?state=resolved") == [error_id]
    fail(site, "no tea")
    page = site.get(path)
    assert "It was resolved, and came back" in page
    assert "regressed" in site.get("/errors")
    site.post(f"{path}/state", state="muted")
    site.post(f"{path}/state", state="open")
    assert listed(site) == [error_id]
    acts = site.get("/audit")
    assert [word in acts for word in ("error.mute", "error.resolve", "error.open")] == [True] * 3


def test_bad_forms_and_unknown_errors_are_refused(site: Site) -> None:
    fail(site)
    [error_id] = listed(site)
    path = f"/errors/{error_id}/state"
    assert "state must be one of" in site.post(path, 400, state="closed").text
    assert "for must be one of" in site.post(path, 400, state="muted", **{"for": "2y"}).text
    assert "does not exist" in site.post(f"/errors/{'0' * 26}/state", 404, state="open").text
    assert "does not exist" in site.get(f"/errors/{'0' * 26}", 404)
    assert "26 characters" in site.get("/errors/x", 400)


def test_what_is_tried_again_is_told_before_it_fails(site: Site) -> None:
    assert "Still being retried" not in site.get("/") + site.get("/errors")
    engine = site.engine
    error = {"name": f"No{EVIL}", "message": "no route to host"}
    engine.sdk.script = lambda request, target: reply(500, error)
    run_id = engine.start()
    engine.drain()
    for path in ("/", "/errors", "/errors?function=app-fn"):
        page = site.get(path)
        assert EVIL not in page
        for told in ("Still being retried", "no route to host", f"/runs/{run_id}", ">1 run<"):
            assert told in page
    for path in ("/errors?state=muted", "/errors?q=route", "/errors?app=nobody"):
        assert "Still being retried" not in site.get(path)
    fail(site, "no tea")
    assert "Still being retried" in site.get("/errors")


def test_the_page_of_a_run_leads_to_its_error(site: Site) -> None:
    run_id = fail(site, "no tea")
    [error_id] = listed(site)
    assert f'href="/errors/{error_id}"' in site.get(f"/runs/{run_id}")
