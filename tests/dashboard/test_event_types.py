"""Event types with their schema, the form that sends an event, and what an event did."""

import html
import re
from datetime import timedelta
from typing import Any

import pytest

from inngest_py.dashboard.pages.event_types import views
from inngest_py.domain.reply.read import Reply
from inngest_py.storage.queries.reports import event_names
from tests.dashboard.conftest import EVIL, Site
from tests.factories import op, reply

_LATER = timedelta(milliseconds=5)  # ids of one moment have no order
_NAME = re.compile(r'data-open href="/events/type\?name=([^"]+)"')


def send(site: Site, **payload: Any) -> str:
    """Send an event after the last one."""
    site.engine.now += _LATER
    return site.send(**payload)


def test_types_are_listed_by_their_last_events(site: Site) -> None:
    assert "No events yet" in site.get("/events/types")
    for name in ("shop/paid", "a/b", "shop/placed", "shop/paid"):
        send(site, name=name, data={"n": 1})
    site.engine.drain()  # its runs publish events of the server
    page = site.get("/events/types")
    assert _NAME.findall(page) == ["shop/paid", "shop/placed", "a/b"]
    assert "app-fn" in page
    assert _NAME.findall(site.get("/events/types?q=PLACED")) == ["shop/placed"]
    own = _NAME.findall(site.get("/events/types?internal=1"))
    assert "inngest/function.finished" in own
    assert "No event type matches" in site.get("/events/types?q=zzz")


def test_types_are_listed_page_by_page(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "_PAGE", 2)
    for name in ("c", "a", "b"):
        send(site, name=name)
    page = site.get("/events/types?q=")
    assert _NAME.findall(page) == ["b", "a"]
    assert _NAME.findall(site.get(_next(page))) == ["c"]
    page = site.get("/events/types?order=name")
    assert 'aria-sort="ascending"' in page
    assert _NAME.findall(page) == ["a", "b"]
    last = site.get(_next(page))
    assert _NAME.findall(last) == ["c"]
    assert _next(last) is None
    monkeypatch.setattr(event_names, "MOST_NAMES", 2)
    assert "List all by name" in site.get("/events/types")
    page = site.get("/events/types?order=name&q=c")
    assert "No event type matches so far" in page
    assert _NAME.findall(site.get(_next(page))) == ["c"]
    assert "order must be one of last_seen, name" in site.get("/events/types?order=x", 400)
    assert "the cursor is not one of this list" in site.get("/events/types?cursor=x", 400)


def _next(page: str) -> Any:
    found = re.search(r'href="([^"]+)" rel="next"', page)
    return None if found is None else html.unescape(found[1])


def test_a_type_has_its_functions_its_last_payload_and_a_schema(site: Site) -> None:
    send(site, name="a/b", data={"order": {"id": "A-1"}, "note": EVIL})
    send(site, name="a/b", data={"order": {"id": "A-2", "total": 3}})
    send(site, name="a/b", data={"large": "x" * 70_000})
    send(site, name="a/b", data={"order": {"id": "A-3", "total": 4.5}})
    page = site.get("/events/type?name=a/b")
    assert EVIL not in page
    for shown in (
        "<code>order.total</code>",
        "number",
        "optional",
        "app-fn",
        "A-3",
        "last 3 events",
    ):
        assert shown in page, shown
    assert "without 1 that is too large" in page
    assert "no event named" in site.get("/events/type?name=none", 404)


def test_the_form_suggests_names_and_is_filled_with_the_last_payload(site: Site) -> None:
    send(site, name="shop/paid", data={"order": "A-1"}, user={"id": 7})
    last = send(site, name="shop/paid", data={"order": "A-2"}, user={"id": 8})
    page = site.get("/events/send")
    assert '<option value="shop/paid">' in page
    filled = site.get("/events/send?name=shop/paid")
    assert "A-2" in filled
    assert f"{last}." in filled
    told: Any = site.client.get("/events/last?name=shop/paid").json
    assert told["id"] == last
    assert '"A-2"' in told["data"]
    assert '"id": 8' in told["user"]
    assert site.client.get("/events/last?name=none").status_code == 204


def test_errors_stand_at_their_fields(site: Site) -> None:
    for field, form in (
        ("name", {"name": "inngest/x", "data": "{}"}),
        ("name", {"name": " ", "data": "{}"}),
        ("data", {"name": "a/b", "data": "{"}),
        ("data", {"name": "a/b", "data": "[1]"}),
        ("user", {"name": "a/b", "data": "{}", "user": "{"}),
        ("id", {"name": "a/b", "data": "{}", "id": "x" * 3000}),
    ):
        page = site.post("/events/send", 400, **form).text
        [invalid] = re.findall(r'id="f-(\w+)"[^>]*aria-invalid', page)
        assert invalid == field, form


def _waits(request: dict[str, Any], target: str) -> Reply:
    """Wait for x/y, and end when it came."""
    if request["steps"]:
        return reply(200, "done")
    return reply(206, [op("WaitForEvent", "pay", name="x/y", opts={"timeout": "1h"})])


def test_an_event_tells_what_it_did(site: Site) -> None:
    engine = site.engine
    engine.register(cancel=[{"event": "x/stop"}])
    engine.sdk.script = _waits
    first, other = engine.start(), engine.start()
    engine.drain()
    stop = send(site, name="x/stop")
    engine.drain()
    assert engine.run(first)["status"] == engine.run(other)["status"] == "cancelled"
    page = site.get(f"/events/{stop}")
    assert page.count("It cancelled a run of") == 2
    assert first in page
    engine.now += _LATER
    third = engine.start()
    engine.drain()
    answer = send(site, name="x/y", data={"n": 1})
    assert "It ended the wait &#39;pay&#39; of" in site.get(
        f"/events/{answer}"
    )  # but nobody went on
    engine.drain()
    assert engine.run(third)["status"] == "completed"
    page = site.get(f"/events/{answer}")
    assert page.count("It ended the wait &#39;pay&#39; of") == 1
    assert third in page
    began = site.get(f"/events/{engine.run(third)['event_id']}")
    assert "It started a run of" in began
    assert "Nothing else is stored of it" in site.get(f"/events/{send(site, name='x/none')}")


def test_an_event_tells_of_its_batch_and_its_debounce(site: Site) -> None:
    site.engine.register(batchEvents={"maxSize": 2, "timeout": "60s"})
    one = send(site, data={"n": 1})
    assert "It became event 1 of <strong>an open batch</strong>, which is due" in site.get(
        f"/events/{one}"
    )
    two = send(site, data={"n": 2})
    page = site.get(f"/events/{two}")
    assert "It became event 2 of a batch of <strong>app-fn</strong>" in page
    assert "It started a run of" not in page
    site.engine.register(debounce={"period": "30s"})
    parked = send(site, data={"n": 3})
    assert "It was parked by the debounce of" in site.get(f"/events/{parked}")
