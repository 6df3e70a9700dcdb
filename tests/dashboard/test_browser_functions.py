"""A browser sorts functions, reads a history, invokes, and sends an event of a known type."""

from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from tests.engine.harness import sequence

from . import browser as browsers
from .conftest import Site, failing
from .test_browser_operations import look, served

pytestmark = pytest.mark.skipif(browsers.found() is None, reason="no Chromium")
__all__ = ["served"]


def history(site: Site) -> None:
    """Let runs of two functions end over some hours, some of them failed."""
    engine = site.engine
    engine.register(id="app-mail", name="mail", triggers=[{"event": "a/mail"}])
    engine.now -= timedelta(hours=9)
    for hour in range(9):
        for place in range(hour % 4 + 1):
            engine.sdk.script = failing if (hour + place) % 3 == 0 else sequence("one")
            engine.start(name="a/mail", data={"order": {"id": f"A-{place}"}, "total": hour})
            engine.now += timedelta(seconds=1 + place)
            engine.drain()
        engine.now += timedelta(hours=1)


def test_from_the_list_to_a_functions_history_and_an_invocation(
    served: tuple[Site, str], page: Page
) -> None:
    site, url = served
    history(site)
    page.goto(f"{url}/functions?archived=1")
    page.get_by_role("link", name="Failed").click()
    heading = page.get_by_role("columnheader", name="Failed")
    expect(heading).to_have_attribute("aria-sort", "descending")
    assert "sort=failures" in page.url
    expect(page.locator("tbody a[data-open]").first).to_have_text("app-mail")
    look(page, "functions")
    page.locator("tbody a[data-open]").first.click()
    expect(page.get_by_role("img", name="The last 24 hours by hour. completed")).to_be_visible()
    page.get_by_text("The same as a table").click()
    look(page, "function")
    page.get_by_role("link", name="7 days").click()
    expect(page.get_by_text("in the last 7 days")).to_be_visible()
    site.engine.register(id="app-mail", name="mail", triggers=[{"event": "a/mail"}])
    page.reload()
    page.get_by_text("Invoke it now").click()
    field = page.get_by_label("Data, a JSON object")
    expect(field).to_have_value('{\n  "order": {\n    "id": "A-0"\n  },\n  "total": 8\n}')
    field.fill("{")
    page.get_by_role("button", name="Invoke").click()
    expect(field).to_be_focused()
    expect(page.locator("#h-data")).to_contain_text("is not JSON")
    look(page, "function-wrong")
    field.fill('{"order": {"id": "A-9"}}')
    page.get_by_role("button", name="Invoke").click()
    expect(page.get_by_role("status").filter(has_text="invoked")).to_be_visible()


def test_an_event_is_sent_like_the_last_of_its_type(served: tuple[Site, str], page: Page) -> None:
    site, url = served
    history(site)
    page.goto(f"{url}/events")
    page.get_by_role("link", name="Types").click()
    look(page, "event-types")
    page.get_by_role("link", name="a/mail").click()
    expect(page.get_by_role("cell", name="order.id", exact=True)).to_be_visible()
    look(page, "event-type")
    page.goto(f"{url}/events/send")
    page.get_by_label("Name").fill("a/mail")
    data = page.get_by_label("Data, a JSON object")
    expect(data).to_have_value('{\n  "order": {\n    "id": "A-0"\n  },\n  "total": 8\n}')
    expect(page.get_by_text("Filled in with the last event of this name")).to_be_visible()
    look(page, "event-form")
    data.fill('{"order": {"id": "mine"}}')
    page.get_by_label("Name").fill("a/b")
    page.get_by_label("Name").press("Tab")
    expect(data).to_have_value('{"order": {"id": "mine"}}')  # what somebody typed stays
    page.get_by_label("Name").fill("a/mail")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("heading", name="What it did")).to_be_visible()
    expect(page.get_by_text("It started a run of")).to_be_visible()
    look(page, "event-timeline")
