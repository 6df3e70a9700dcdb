"""The list of runs in a browser: chips and the plot filter without a button and a page load."""

import re
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, Route, expect
from werkzeug.serving import make_server

from tests.databases import copied
from tests.factories import reply
from tests.processes import LOOPBACK, wait_until

from . import browser as browsers
from .conftest import Site, failing

pytestmark = pytest.mark.skipif(browsers.found() is None, reason="no Chromium")
RUNS = 5


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A server with five runs, an hour apart, of which the third has failed."""
    with copied(request, "sqlite", tmp_path) as db:
        site = Site(db)
        for n in range(RUNS):
            site.engine.sdk.script = failing if n == 2 else lambda *_: reply(200, {"ok": True})
            site.engine.start()
            site.engine.drain()
            site.engine.now += timedelta(hours=1)
        server = make_server(LOOPBACK, 0, site.app, threaded=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://{LOOPBACK}:{server.port}"
        server.shutdown()
        thread.join()


def _rows(page: Page) -> Locator:
    return page.locator("[data-row]")


def _place(page: Page, share: float) -> tuple[float, float]:
    """Find the place in the plot that is so far from its left."""
    box = page.locator("[data-brush]").bounding_box()
    assert box is not None
    return box["x"] + box["width"] * share, box["y"] + box["height"] / 2


def test_chips_filter_at_once_and_the_way_back_is_the_browsers(url: str, page: Page) -> None:
    page.goto(f"{url}/runs")
    page.evaluate("window.isSamePage = true")
    failed = page.get_by_role("checkbox", name="failed")
    page.locator(".chip", has_text="failed").click()
    expect(_rows(page)).to_have_count(1)
    expect(page).to_have_url(f"{url}/runs?status=failed")
    expect(failed).to_be_focused()
    expect(page.get_by_role("link", name="CSV")).to_have_attribute("href", re.compile("=failed"))
    expect(page.get_by_role("link", name="Clear")).to_be_visible()
    page.locator(".chip", has_text="completed").click()
    expect(_rows(page)).to_have_count(RUNS)
    page.go_back()
    expect(_rows(page)).to_have_count(1)
    expect(failed).to_be_checked()
    expect(page.get_by_role("checkbox", name="completed")).not_to_be_checked()
    page.go_back()
    expect(_rows(page)).to_have_count(RUNS)
    expect(failed).not_to_be_checked()
    assert page.evaluate("window.isSamePage")
    # a filter that is refused is told as the button's answer would be
    page.goto(f"{url}/runs?cel=event.")
    page.locator(".chip", has_text="failed").click()
    page.wait_for_url(re.compile("status=failed"))
    expect(page.get_by_role("alert")).to_contain_text("not filtered")


def test_a_span_is_chosen_in_the_plot_by_pointer_keys_and_touch(url: str, page: Page) -> None:
    page.goto(f"{url}/runs")
    expect(page.get_by_text(f"{RUNS} runs", exact=True)).to_be_visible()
    assert browsers.flaws(page, browsers.axe()) == []
    page.mouse.move(*_place(page, 0.3))
    page.mouse.down()
    page.mouse.move(*_place(page, 0.4))
    expect(page.locator(".brush-span")).to_be_visible()
    page.mouse.move(*_place(page, 0.5))
    page.mouse.up()
    expect(_rows(page)).to_have_count(1)  # of the viewer's zone, which is Tokyo
    expect(page.locator("[data-row]").get_by_text("failed", exact=True)).to_be_visible()
    expect(page).to_have_url(re.compile(r"from=.*until="))
    page.get_by_role("link", name="All times").click()
    expect(_rows(page)).to_have_count(RUNS)

    page.get_by_role("slider", name="From").focus()
    for _ in range(30):
        page.keyboard.press("ArrowRight")
    expect(page.locator(".brush-span")).to_be_visible()
    page.keyboard.press("Enter")
    expect(_rows(page)).to_have_count(2)
    expect(page).to_have_url(re.compile(r"from="))
    page.go_back()
    expect(_rows(page)).to_have_count(RUNS)

    touch = page.context.new_cdp_session(page)
    for kind, share in (("Start", 0.9), ("Move", 0.8), ("Move", 0.7), ("End", None)):
        places = [] if share is None else [_place(page, share)]
        points = [{"x": x, "y": y} for x, y in places]
        touch.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})
    expect(_rows(page)).to_have_count(1)


def test_news_that_are_on_their_way_do_not_take_what_the_viewer_ticks(url: str, page: Page) -> None:
    waiting: list[Route] = []

    def hold(route: Route) -> None:
        waiting.append(route)

    page.goto(f"{url}/runs")
    page.route("**/runs", hold)
    page.evaluate("document.body.dispatchEvent(new Event('news'))")
    wait_until(lambda: page.evaluate("true") and waiting, 30, "the list to ask")
    box = page.locator("input[name=run]").first
    box.check()
    with page.expect_response("**/runs"):
        waiting.pop().continue_()
    page.evaluate("new Promise((done) => setTimeout(() => requestAnimationFrame(done)))")
    expect(box).to_be_checked()
    box.uncheck()
    page.evaluate("window.old = document.getElementById('live')")
    page.evaluate("document.body.dispatchEvent(new Event('news'))")
    wait_until(lambda: page.evaluate("true") and waiting, 30, "the list to ask")
    waiting.pop().continue_()
    replaced = "document.getElementById('live') !== window.old"
    wait_until(lambda: page.evaluate(replaced), 30, "the list to be replaced")


def test_a_plot_that_is_replaced_hands_on_no_style_attribute(url: str, page: Page) -> None:
    """The page's rules refuse them. Browsers set some while they make a picture of the page."""
    page.goto(f"{url}/runs")
    refused = page.evaluate(
        """async () => {
          const refused = [];
          const note = (event) => refused.push(event.violatedDirective);
          document.addEventListener("securitypolicyviolation", note);
          const slider = document.getElementById("plot-from");
          slider.style.caretColor = "transparent";
          await htmx.ajax("GET", "/runs/plot", { source: "#plot", swap: "outerHTML" });
          const pause = () => new Promise((done) => setTimeout(done, 200));
          for (let tries = 0; slider.isConnected; tries++) {
            if (tries > 100) throw new Error("the plot was not replaced");
            await pause();
          }
          await pause();  // the event is a task of its own
          return refused;
        }"""
    )
    assert refused == []
