"""Lists are filtered, go on page by page, and follow the news."""

import csv
import io
from datetime import timedelta

import pytest

from tests.dashboard.conftest import Site, failing
from tests.factories import reply

_GOES_ON = '<tr class="further" hx-get='


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
        ("event=a/*", {0, 1, 2}),
        ("event=*", {0, 1, 2}),
        ("event=A/*", set()),
        ("event=b/*", set()),
        ("event=a/*&q=needle", {1}),
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
def test_error_names_the_bad_filter(site: Site, query: str) -> None:
    answered = site.client.get(f"/runs?{query}")
    assert answered.status_code == 400
    assert 'role="alert"' in answered.text
    assert "No run matches" not in answered.text  # nobody has looked
    assert "hx-get" not in answered.text  # nor does the page ask for the same error on every news


def test_a_list_follows_the_news(site: Site) -> None:
    assert "hx-get" in site.get("/runs")
    assert "hx-get" in site.get("/events")
    assert "hx-get" not in site.client.get("/events?cel=event.").text


def test_text_finds_the_last_error_of_a_run_that_is_tried_again(site: Site) -> None:
    site.engine.sdk.script = lambda *_: reply(500, {"name": "E", "message": "card declined"})
    waiting, cancelled = site.engine.start(), site.engine.start()
    site.engine.drain()
    site.post(f"/runs/{cancelled}/cancel")
    assert site.engine.run(waiting)["status"] == "running"
    for query in ("q=CARD+declined", "q=card+declined&event=a/*"):
        page = site.get(f"/runs?{query}")
        assert all(f"/runs/{run_id}" in page for run_id in (waiting, cancelled))
    assert "No run matches" in site.get("/runs?q=card+declines")


def test_events_are_found_by_the_beginning_of_their_names(site: Site) -> None:
    names = ("shop/order.placed", "shop/order.paid", "shop", "Shop/x", "a/b")
    ids = {name: site.send(name=name) for name in names}
    for pattern, found in (
        ("shop/*", {"shop/order.placed", "shop/order.paid"}),
        ("shop/order.pl*", {"shop/order.placed"}),
        ("shop", {"shop"}),
        ("%25*", set()),
    ):
        page = site.get(f"/events?name={pattern}")
        assert {name for name in names if f"/events/{ids[name]}" in page} == found, pattern
    for path in ("/events?name=*/x", "/runs?event=a/*/b"):
        answered = site.client.get(path)
        assert answered.status_code == 400
        assert "may have one *, at its end" in answered.text


def test_next_page_begins_after_the_last_run(site: Site) -> None:
    ids = [site.engine.start() for _ in range(55)]
    first = site.get("/runs")
    following = first.split('rel="next"')[0].split('href="')[-1].split('"')[0]
    second = site.get(following.replace("&amp;", "&"))
    seen = [sum(f'/runs/{run_id}"' in page for run_id in ids) for page in (first, second)]
    assert seen == [50, 5]
    assert 'rel="next"' not in second


def test_searches_continue_where_they_stopped(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("_WINDOW", 2), ("_MOST_WINDOW", 2), ("MOST_SCANNED", 4)):
        monkeypatch.setattr(f"inngest_py.dashboard.parts.lists.{name}", value)
    needle = site.engine.start(data={"text": "needle"})
    for _ in range(6):
        site.engine.now += timedelta(seconds=1)
        site.engine.start()
    path, looks = "/runs?q=needle", 0
    while needle not in (page := site.get(path)):
        assert "and found none" in page
        path = page.split('rel="next"')[0].split('href="')[-1].split('"')[0].replace("&amp;", "&")
        looks += 1
        assert _GOES_ON in page  # the page continues by itself
        assert "news from:body" not in page  # and no news begins it again
    assert looks in (1, 2, 3)  # 4 at a look, or 2 where the time was up
    assert 'rel="next"' not in page
    assert "Looked at 7 runs, to the oldest." in page


def test_a_search_goes_on_by_itself_for_some_seconds_and_then_by_a_click(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("_WINDOW", 2), ("_MOST_WINDOW", 2), ("MOST_SCANNED", 2)):
        monkeypatch.setattr(f"inngest_py.dashboard.parts.lists.{name}", value)
    for _ in range(6):
        site.engine.start()
    for path in ("/runs?cel=event.data.n+>+1", "/events?cel=event.data.n+>+1"):
        assert "Looked at 2 " in site.get(path)
        over = site.get(f"{path}&looked=10&look_until=1")
        assert "Looked at 12 " in over
        assert "back to <time" in over
        assert _GOES_ON not in over
        link = over.split('rel="next"')[0].split('href="')[-1].split('"')[0].replace("&amp;", "&")
        assert "look_until" not in link
        assert _GOES_ON in site.get(link)
        assert "look_until" not in site.get(f"{path}&looked=x&look_until=y").split("hx-get")[0]
