"""Columns and saved views, in a real browser."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from werkzeug.serving import make_server

from inngest_py.engine.admin import search_keys
from tests.databases import copied
from tests.processes import LOOPBACK

from . import browser as browsers
from .conftest import Site

pytestmark = pytest.mark.skipif(browsers.found() is None, reason="no Chromium")


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A server with three runs of a function that declares a search key."""
    with copied(request, "sqlite", tmp_path) as db:
        site = Site(db)
        search_keys.put(site.engine.ctx, "app-fn", {"keys": {"order_id": "event.data.order_id"}})
        for n in range(3):
            site.engine.start(data={"order_id": f"A-{n}", "total": n * 10})
        server = make_server(LOOPBACK, 0, site.app, threaded=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://{LOOPBACK}:{server.port}"
        server.shutdown()
        thread.join()


def test_columns_are_chosen_and_a_view_is_saved(url: str, page: Page) -> None:
    page.goto(f"{url}/runs")
    page.get_by_text("More", exact=True).click()
    page.get_by_label("Columns, fields of the event").fill("event.data.total, event.data.order_id")
    page.get_by_placeholder("run id, payload, output or error").fill("order_id:A-2")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_role("columnheader", name="total")).to_be_visible()
    expect(page.get_by_role("cell", name="20", exact=True)).to_be_visible()
    expect(page.locator("[data-row]")).to_have_count(1)

    page.get_by_text("Save this view").click()
    page.get_by_label("Name, for all users").fill("Order two")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("The view is saved")).to_be_visible()
    page.goto(f"{url}/runs")
    expect(page.locator("[data-row]")).to_have_count(3)
    saved = page.get_by_role("navigation", name="Saved views")
    saved.get_by_role("link", name="Order two").click()
    expect(page.locator("[data-row]")).to_have_count(1)
    expect(saved.get_by_role("link", name="Order two")).to_have_attribute("aria-current", "page")
    page.goto(f"{url}/runs?status=queued")
    page.get_by_text("Save this view").click()
    name = page.get_by_label("Name, for all users")
    name.fill("Order two")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("give another name")
    expect(name).to_have_attribute("aria-invalid", "true")
    expect(name).to_have_value("Order two")
    expect(name).to_be_focused()
    expect(page).to_have_url(f"{url}/runs?status=queued")
    name.fill("Queued")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("The view is saved")).to_be_visible()
    saved.get_by_role("link", name="Order two").click()
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete this view").click()
    expect(page.get_by_text("The view is deleted")).to_be_visible()
    expect(saved.get_by_role("link")).to_have_text(["Queued"])


def test_columns_become_a_line_on_a_phone(url: str, page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{url}/runs?function=app-fn&col=event.data.order_id,event.data.total")
    expect(page.get_by_text("order_id A-2 · total 20")).to_be_visible()
    expect(page.get_by_role("cell", name="A-2", exact=True)).to_be_hidden()
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0
