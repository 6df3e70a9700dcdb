"""The page of a run in a real browser: the panel, the timeline, and the viewer of JSON."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from werkzeug.serving import make_server

from inngest_py.domain.runs.runs import RunStatus
from tests.engine.harness import prepared
from tests.factories import op, reply, step
from tests.processes import LOOPBACK

from . import browser as browsers
from .browser import flaws, shot
from .conftest import Site
from .test_run_timeline import thousand

pytestmark = pytest.mark.skipif(browsers.found() is None, reason="no Chromium")
PHONE = {"width": 390, "height": 844}
ORDERS = [{"id": n, "name": f"order {n}", "tags": ["a", "b"], "paid": True} for n in range(60_000)]
_SCROLL = "document.scrollingElement.scrollTop"


class Served:
    """A site that a thread serves; its runs are made before."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.server = make_server(LOOPBACK, 0, site.app, threaded=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.failed = self._run(_reserve_fails, RunStatus.FAILED)
        self.large = self._run(_large, RunStatus.COMPLETED)
        self.thousand = thousand(site)

    def _run(self, script: Any, status: RunStatus) -> str:
        self.site.engine.sdk.script = script
        run_id = self.site.engine.start(data={"order": 17})
        self.site.engine.drain()
        for _ in range(2):
            self.site.engine.advance(seconds=6)
        assert self.site.engine.run(run_id)["status"] == status
        return run_id

    def url(self, run_id: str) -> str:
        """Make the URL of a run's page."""
        return f"http://{LOOPBACK}:{self.server.server_port}/runs/{run_id}"


def _reserve_fails(request: dict[str, Any], target: str) -> Any:
    """Run some steps, fail the next at every attempt, and then the function."""
    done = request["steps"]
    names = [f"load {name}" for name in "abcdefghijklmnopqrst"]
    left = [name for name in names if step(name) not in done]
    if left:
        return reply(206, [op("StepRun", name, data={"of": name}) for name in left])
    error = {"name": "Empty", "message": "no stock", "stack": "at shelf\n" * 60}
    if step("reserve") in done:
        return reply(500, error, x_inngest_no_retry="true")
    last = request["ctx"]["attempt"] == 2
    return reply(206, [op("StepFailed" if last else "StepError", "reserve", error=error)])


def _large(request: dict[str, Any], target: str) -> Any:
    if step("large") in request["steps"]:
        return reply(200, {"ok": True})
    return reply(206, [op("StepRun", "large", data={"orders": ORDERS})])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("run-page")
    db = prepared(f"sqlite:///{folder}/s.db")
    made = Served(Site(db))
    yield made
    made.server.shutdown()
    db.close()


def _row(page: Page, name: str) -> Any:
    return page.locator(".falls a[data-open]", has_text=re.compile(rf"^\s*{name}\b"))


def test_the_panel_changes_without_a_page_load_and_keeps_scroll_and_focus(
    served: Served, page: Page
) -> None:
    page.goto(served.url(served.failed))
    title = page.locator("#detail")
    expect(title).to_have_text("reserve")  # what failed is selected
    expect(page.locator("#lead")).to_contain_text("Failed at reserve, attempt 3 of 3")
    page.evaluate("window.kept = true")
    row = _row(page, "load t")
    row.scroll_into_view_if_needed()
    before = page.evaluate(_SCROLL)
    assert before > 0
    row.click()
    expect(title).to_have_text("load t")
    expect(row).to_be_focused()
    expect(row).to_have_attribute("aria-current", "true")
    assert page.evaluate(_SCROLL) == before
    assert "span=" in page.url
    assert flaws(page, browsers.axe()) == []
    page.reload()
    expect(title).to_have_text("load t")
    page.evaluate("window.kept = true")
    _row(page, "reserve").click()
    expect(title).to_have_text("reserve")
    page.go_back()
    expect(title).to_have_text("load t")
    assert page.evaluate("window.kept")


def test_keys_move_fold_and_zoom(served: Served, page: Page) -> None:
    page.goto(served.url(served.failed))
    reserve = _row(page, "reserve")
    reserve.focus()
    page.keyboard.press("ArrowDown")
    expect(_row(page, "Attempt 1")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#detail")).to_have_text("Attempt 1")
    page.locator("#panel").focus()
    page.keyboard.press("Escape")
    expect(_row(page, "Attempt 1")).to_be_focused()
    reserve.click()
    expect(page.locator("#detail")).to_have_text("reserve")
    page.keyboard.press("ArrowLeft")
    expect(_row(page, "Attempt 1")).to_have_count(0)
    expect(reserve).to_be_focused()
    bar = page.locator(".falls svg.fall").first
    page.keyboard.press("+")
    expect(bar).to_have_attribute("viewBox", "250 0 500 24")
    page.get_by_role("button", name="Later").click()
    expect(bar).to_have_attribute("viewBox", "500 0 500 24")
    page.keyboard.press("0")
    expect(bar).to_have_attribute("viewBox", "0 0 1000 24")
    expect(page.locator("#time-axis text").first).to_be_visible()


def test_the_panel_is_a_sheet_on_a_phone(served: Served, page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    for dark in (False, True):
        page.emulate_media(color_scheme="dark" if dark else "light")
        page.goto(served.url(served.failed))
        _row(page, "load b").click()
        close = page.get_by_role("button", name="Close", exact=True)
        expect(close).to_be_visible()
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{wide} px too wide"
        assert flaws(page, browsers.axe()) == []
        shot(page, f"run-phone-{'dark' if dark else 'light'}")
        close.click()
        expect(close).to_be_hidden()


def test_a_thousand_steps_unfold_in_place(served: Served, page: Page) -> None:
    page.goto(served.url(served.thousand))
    page.evaluate("window.kept = true")
    _row(page, "store").first.click()
    expect(page.locator("[data-row]")).to_have_count(201)
    assert page.evaluate("document.querySelectorAll('*').length") < 3000
    page.get_by_role("link", name="Later rows").click()
    expect(page.get_by_text("Rows 201 to 400 of")).to_be_visible()
    page.get_by_role("link", name="What took longest").click()
    expect(page.locator("[data-row]")).to_have_count(51)
    assert page.evaluate("window.kept")


def test_four_megabytes_of_json_are_searched_and_never_drawn_at_once(
    served: Served, context: BrowserContext, page: Page
) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(served.url(served.large))
    _row(page, "large").click()
    page.get_by_role("button", name="Show the whole value").click()
    expect(page.get_by_role("button", name='"orders": [ 60,000 ]')).to_be_visible()
    search = page.get_by_label("Search in Output")
    search.fill("order 59999")
    expect(page.locator(".j-hit")).to_contain_text("order 59999")
    expect(page.get_by_text("1 of 1, Enter for the next")).to_be_visible()
    assert page.evaluate("document.querySelectorAll('*').length") < 3000
    page.get_by_role("button", name="Copy the path $.orders[59999].name").click()
    expect(page.get_by_text("Copied the path")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "$.orders[59999].name"
    page.get_by_role("button", name="Copy the value of $.orders[59999].tags").click()
    expect(page.get_by_text("Copied $.orders[59999].tags")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == '[\n  "a",\n  "b"\n]'
    page.get_by_role("button", name=re.compile("^from the beginning")).click()
    expect(page.get_by_role("button", name="0: { 4 }", exact=True)).to_be_visible()
    page.get_by_role("button", name='"orders": [ 60,000 ]').click()
    expect(page.get_by_role("button", name="0: { 4 }", exact=True)).to_be_hidden()
    assert flaws(page, browsers.axe()) == []


def test_steps_are_shown_without_scripts(served: Served, chromium: Browser) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(served.url(served.failed))
    _row(page, "load b").click()
    expect(page.locator("#detail")).to_have_text("load b")
    expect(page.locator(".json pre")).to_contain_text('"of": "load b"')
    context.close()
