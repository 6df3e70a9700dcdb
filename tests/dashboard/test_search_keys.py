"""Search keys and columns of the list of runs, and the form of a function's keys."""

import re
from datetime import timedelta

import pytest

from inngest_py.engine.admin import search_key_walk, search_keys
from tests.dashboard.conftest import EVIL, Site

KEYS = {"order_id": "event.data.order_id", "total": "event.data.total"}
HEADS = re.compile(r'<th scope="col" class="hide-s payload" title="([^"]*)">([^<]*)</th>')


def function_id(site: Site) -> str:
    found = re.search(r"/functions/([0-9a-f-]{36})", site.get("/functions"))
    assert found is not None
    return found.group(1)


@pytest.fixture
def keyed(site: Site) -> Site:
    """A site whose function declares KEYS."""
    search_keys.put(site.engine.ctx, "app-fn", {"keys": KEYS})
    return site


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("key.order_id=A-1", {0}),
        ("q=order_id:A-1", {0}),
        ("q=order_id:%22B 2%22", {1}),
        ("q=order_id:A-1+needle", {0}),
        ("q=order_id:A-1+nowhere", set()),
        ("key.order_id=A-1&key.total=5", {0}),
        ("key.order_id=A-1&key.total=6", set()),
        ("key.total=5&function=app-fn", {0}),
        ("key.total=5&status=failed", set()),
        ("key.order_id=", {0, 1}),
    ],
)
def test_runs_are_found_by_keys(keyed: Site, query: str, found: set[int]) -> None:
    data = [{"order_id": "A-1", "total": 5, "x": "needle"}, {"order_id": "B 2", "total": 6}]
    ids = [keyed.engine.start(data=one) for one in data]
    page = keyed.get(f"/runs?{query}")
    assert {place for place, run_id in enumerate(ids) if f"/runs/{run_id}" in page} == found
    assert len(keyed.client.get(f"/runs/export.json?{query}").json) == len(found)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("key.nope=1", "no function declares the search key nope"),
        ("key.order_id=1&key.order_id=2", "key.order_id is given twice"),
        ("key.order_id=" + "x" * 3000, "longer than 2048"),
        ("col=data.x", "col must be a path such as event.data.order_id"),
        ("col=" + ",".join(f"event.data.c{n}" for n in range(6)), "at most 5 are shown"),
    ],
)
def test_a_wrong_key_or_column_is_named(keyed: Site, query: str, told: str) -> None:
    keyed.engine.start(data={"order_id": "A"})
    answered = keyed.client.get(f"/runs?{query}")
    assert answered.status_code == 400
    assert told in answered.text


def test_fields_are_columns(keyed: Site) -> None:
    engine = keyed.engine
    engine.start(data={"order_id": "A-1", "note": EVIL, "lines": [{"sku": "s" * 99}]})
    engine.start(data={"order_id": "A-2", "big": "x" * 70_000})
    assert HEADS.findall(keyed.get("/runs")) == []
    chosen = keyed.get("/runs?col=event.data.note,event.data.lines.0.sku&col=event.name")
    assert [name for _, name in HEADS.findall(chosen)] == ["note", "sku", "name"]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in chosen and EVIL not in chosen
    assert f'title="{"s" * 99}">{"s" * 39}…<' in chosen
    assert "the event is too large" in chosen
    of_function = keyed.get("/runs?function=app-fn")
    assert HEADS.findall(of_function) == [
        ("event.data.order_id", "order_id"),
        ("event.data.total", "total"),
    ]
    assert ">A-1</td>" in of_function
    assert HEADS.findall(keyed.get("/runs?function=app-fn&col=none")) == []


def test_the_search_says_how_much_is_indexed(site: Site) -> None:
    for n in range(3):
        site.engine.start(data={"order_id": f"A-{n}"})
    search_keys.put(site.engine.ctx, "app-fn", {"keys": KEYS})
    note = "older runs are not indexed yet"
    assert note in site.get("/runs?key.order_id=A-0")
    assert note not in site.get("/runs")
    search_key_walk.walk(site.engine.ctx, 2)
    assert "2 of 3 older runs are indexed" in site.get("/runs?key.order_id=A-0")
    assert "2 of 3 runs are indexed" in site.get(f"/functions/{function_id(site)}")
    while search_key_walk.walk(site.engine.ctx):
        pass
    assert "older runs" not in site.get("/runs?key.order_id=A-0")
    assert "all runs are indexed" in site.get(f"/functions/{function_id(site)}")


def test_keys_are_declared_on_the_page_of_the_function(site: Site) -> None:
    path = f"/functions/{function_id(site)}"
    assert "None: the runs of this function" in site.get(path)
    wrong = site.post(f"{path}/search-keys", 400, keys="order_id event.data.order_id")
    assert "must be a name, = and a path" in wrong.text
    assert ">order_id event.data.order_id</textarea>" in wrong.text  # what was written stays
    wrong = site.post(f"{path}/search-keys", 400, keys="order_id = order_id")
    assert "keys.order_id must be a path such as" in wrong.text
    site.post(f"{path}/search-keys", keys="order_id = event.data.order_id\r\n\r\n")
    page = site.get(path)
    assert "The search keys are changed" in page
    assert ">order_id = event.data.order_id</textarea>" in page
    run_id = site.engine.start(data={"order_id": "A-1"})
    assert run_id in site.get("/runs?q=order_id:A-1")
    site.post(f"{path}/search-keys", keys="")
    assert "None: the runs of this function" in site.get(path)


def test_operations_take_the_keys_of_the_list(keyed: Site) -> None:
    keyed.engine.start(data={"order_id": "A-1"})
    keyed.engine.start(data={"order_id": "A-2"})
    keyed.engine.now += timedelta(seconds=1)
    assert "still being indexed" in keyed.get("/operations/new?kind=rerun&key.order_id=A-1", 409)
    while search_key_walk.walk(keyed.engine.ctx):
        pass
    filters = "q=order_id%3AA-1&key.total=&function=app-fn"
    answered = keyed.post("/runs/bulk", action="rerun", all="1", filters=filters)
    page = keyed.get(answered.location)
    assert "Run again 1 run of app-fn" in page
    assert "Search keys</dt>" in page and "order_id: A-1" in page


def test_the_form_keeps_the_keys_of_the_search(keyed: Site) -> None:
    page = keyed.get("/runs?key.order_id=A-1")
    assert 'name="key.order_id" value="A-1"' in page
    assert 'name="key.total"' not in page
    assert 'name="key.total" value=""' in keyed.get("/runs?function=app-fn")
