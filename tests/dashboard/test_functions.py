"""The list of functions with its order, a function's history, and its form to invoke it."""

import re
from datetime import timedelta

import pytest

from inngest_py.domain.reports import roll_ups
from inngest_py.engine.upkeep.roll_ups import counting
from tests.dashboard.conftest import EVIL, Site, failing
from tests.engine.harness import sequence

_SLUG = re.compile(r'href="/functions/[^"?]+">(app-[a-z]+)</a>')


def busy(site: Site) -> dict[str, str]:
    """Let three functions end runs at different rates; return their ids by slug."""
    engine, ids = site.engine, {}
    for name, runs, failures in (("calm", 1, 0), ("busy", 4, 1), ("bad", 3, 3)):
        engine.register(id=f"app-{name}", name=name, triggers=[{"event": f"a/{name}"}])
        for place in range(runs):
            engine.now += timedelta(seconds=1)
            engine.sdk.script = failing if place < failures else sequence("one")
            run_id = engine.start(name=f"a/{name}", data={"n": place})
            engine.now += timedelta(seconds=3)
            engine.drain()
            row = engine.run(run_id)
            ids[f"app-{name}"] = row["function_id"]
    return ids


def listed(site: Site, query: str = "") -> list[str]:
    return _SLUG.findall(site.get(f"/functions?{query}&archived=1"))


def test_functions_are_sorted_by_their_figures(site: Site) -> None:
    busy(site)
    for later in (timedelta(0), roll_ups.SETTLED * 2):  # from the runs, and from the roll-ups
        site.engine.now += later
        while counting.count(site.engine.ctx):
            pass
        assert listed(site) == ["app-bad", "app-busy", "app-calm", "app-fn"]
        assert listed(site, "sort=failures")[:2] == ["app-bad", "app-busy"]
        assert listed(site, "sort=runs")[:3] == ["app-busy", "app-bad", "app-calm"]
        assert listed(site, "sort=runs&dir=asc")[:2] == ["app-fn", "app-calm"]
        assert listed(site, "sort=last_run") == ["app-bad", "app-busy", "app-calm", "app-fn"]
        assert listed(site, "sort=last_run&dir=asc") == [
            "app-calm",
            "app-busy",
            "app-bad",
            "app-fn",
        ]
        assert set(listed(site, "sort=p95")[:3]) == {"app-calm", "app-busy", "app-bad"}
        assert listed(site, "sort=p95&q=calm") == ["app-calm"]
    page = site.get("/functions?sort=failures&q=app&archived=1")
    assert page.count("aria-sort") == 1
    assert 'aria-sort="descending"' in page
    assert "sort=failures&amp;dir=asc" in page  # the next click turns it around
    assert "q=app&amp;archived=1&amp;sort=p95" in page
    assert "25&nbsp;%" in page.replace("\N{NO-BREAK SPACE}", "&nbsp;")


@pytest.mark.parametrize("query", ["sort=odd", "dir=up"])
def test_a_bad_order_is_named(site: Site, query: str) -> None:
    page = site.get(f"/functions?{query}", 400)
    assert f"{query.partition('=')[0]} must be one of" in page


def test_a_functions_history(site: Site) -> None:
    ids = busy(site)
    path = f"/functions/{ids['app-busy']}"
    page = site.get(path)
    assert "In the last 24 hours 4 runs began, and 4 ended: 25" in page
    assert "begun: at most 4 in an hour; ended: at most 4 in an hour" in page
    assert "completed: at most 3 in an hour; failed: at most 1 in an hour" in page
    assert "The same as a table" in page
    assert "2.9 s" in page or "3 s" in page or "3.1 s" in page  # how long its runs had waited
    site.engine.now += timedelta(days=2)
    assert "No run began or ended in the last 24 hours" in site.get(path)
    week = site.get(f"{path}?span=7d")
    assert "In the last 7 days 4 runs began, and 4 ended" in week
    assert "in a part of six hours" in week
    assert "span must be one of 24h, 7d" in site.get(f"{path}?span=1y", 400)


def test_the_form_is_filled_with_the_last_event(site: Site) -> None:
    engine = site.engine
    run_id = engine.start(data={"order": "A-7", "html": EVIL})
    path = f"/functions/{engine.run(run_id)['function_id']}"
    page = site.get(path)
    assert "A-7" in page
    assert EVIL not in page
    assert f"/events/{engine.run(run_id)['event_id']}" in page
    engine.now += timedelta(seconds=1)
    site.post(f"{path}/invoke", data='{"by": "hand"}')
    page = site.get(path)
    assert "&#34;by&#34;: &#34;hand&#34;" in page
    assert "fn_id" not in page  # what the server adds to an invocation
    wrong = site.post(f"{path}/invoke", 400, data="{").text
    assert "aria-invalid=true" in wrong
    assert "is not JSON" in wrong
    engine.now += timedelta(seconds=1)
    engine.start(data={"large": "x" * 70_000})
    page = site.get(path)
    assert "xxxxxxxxxxxxxxxxxxxxxxxxx" not in page
    assert "Filled in with" not in page
