"""What a page tells beyond colours: its zone, its age, its title, also on a phone."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Page, expect

from tests.processes import LOOPBACK, Server, free_port
from tests.sdk.client import Api

from . import browser as browsers
from .browser import contrast, flaws

pytestmark = pytest.mark.skipif(browsers.found() is None, reason="no Chromium")
LEAST_CONTRAST = 3.0  # of graphics: WCAG 2.1, 1.4.11
PHONE = {"width": 390, "height": 844}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    args = ("--db", str(tmp_path / "s.db"), "--no-discovery")
    with Server("dev", *args, log=tmp_path / "server.log").start() as made:
        yield made


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_failed_and_completed_bars_differ_in_luminance(
    server: Server, page: Page, dark: bool
) -> None:
    page.emulate_media(color_scheme="dark" if dark else "light")
    page.goto(server.url)
    page.locator(".plot").first.wait_for()
    for kind, ok, bad in (
        ("plot", "ok", "bad"),
        ("fall", "seg run", "seg failed"),
        ("outcome", "o-completed", "o-failed"),
    ):
        completed, failed, behind = page.evaluate(
            """([kind, ok, bad]) => {
              const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
              svg.setAttribute("class", kind);
              svg.innerHTML = `<rect class="${ok}"/><rect class="${bad}"/>`;
              document.querySelector("figure").append(svg);
              const fills = [...svg.children].map((rect) => getComputedStyle(rect).fill);
              const card = getComputedStyle(document.querySelector("figure")).backgroundColor;
              return [...fills, card];
            }""",
            [kind, ok, bad],
        )
        for one, other in ((completed, failed), (completed, behind), (failed, behind)):
            assert contrast(one, other) >= LEAST_CONTRAST, (kind, one, other)


def test_the_zone_of_times_is_named(server: Server, page: Page) -> None:
    Api(server.url).send("a/b")
    page.goto(f"{server.url}/events")
    expect(page.get_by_role("contentinfo")).to_have_text("Times are in Asia/Tokyo (UTC+09:00).")
    expect(page.locator("time").first).to_have_attribute("title", re.compile(r"GMT\+9$"))
    page.goto(f"{server.url}/runs")
    page.get_by_text("More", exact=True).click()
    expect(page.get_by_label("From Asia/Tokyo")).to_be_visible()


def test_a_page_says_since_when_the_server_is_gone(server: Server, page: Page) -> None:
    page.goto(server.url)
    expect(page.locator("#live-dot[data-state=live]")).to_be_visible()
    told = page.get_by_text("Not connected since")
    expect(told).to_be_hidden()
    server.kill9()
    expect(told).to_be_visible()
    expect(told).to_contain_text("GMT+9")
    assert flaws(page, browsers.axe()) == []
    server.start()
    expect(told).to_be_hidden()


def test_a_page_says_so_too_if_the_server_is_silent(server: Server, page: Page) -> None:
    page.clock.install()
    page.goto(server.url)
    expect(page.locator("#live-dot[data-state=live]")).to_be_visible()
    told = page.get_by_text("Not connected since")
    page.clock.fast_forward(40_000)
    expect(told).to_be_hidden()
    server.suspend()
    try:
        page.clock.fast_forward(60_000)
        expect(told).to_be_visible()
    finally:
        server.resume()
    expect(told).to_be_hidden()


def test_error_pages_have_a_heading(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/runs/01ARZ3NDEKTSV4RRFFQ69G5FAV")
    expect(page.get_by_role("heading", level=1)).to_contain_text("does not exist")


def test_events_with_several_runs_fit_a_phone(server: Server, page: Page) -> None:
    _register(server, 5)
    Api(server.url).send("shop/order.placed.with.a.name.that.is.longer.than.its.column", {"n": 1})
    Api(server.url).send("a/b")
    page.set_viewport_size(PHONE)
    page.goto(f"{server.url}/events")
    expect(page.get_by_text("+1")).to_be_visible()
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, f"the page is {wide} px too wide"


def _register(server: Server, functions: int) -> None:
    """Register an app that no process serves, with functions of one event."""
    url = f"http://{LOOPBACK}:{free_port()}/api/inngest"
    listed = [
        {
            "id": f"app-{n}",
            "name": f"app-{n}",
            "triggers": [{"event": "a/b"}],
            "steps": {
                "step": {
                    "id": "step",
                    "name": "step",
                    "runtime": {"type": "http", "url": f"{url}?fnId=app-{n}&stepId=step"},
                }
            },
        }
        for n in range(functions)
    ]
    payload = {"appName": "app", "url": url, "sdk": "raw:v1", "functions": listed}
    requests.post(f"{server.url}/fn/register", json=payload, timeout=30).raise_for_status()
