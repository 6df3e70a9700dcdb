"""A real browser moves the clock of a real dev server, and skips a wait."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Page, expect

from tests.acceptance.raw_app import RawApp, registered
from tests.processes import Server, wait_until
from tests.sdk.client import Api

from . import browser as browsers
from .browser import flaws, shot

pytestmark = pytest.mark.skipif(
    browsers.found() is None,
    reason="no Chromium: make servers installs it where apt does, or set CHROMIUM to one",
)
DAYS_3 = 3 * 86_400


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A dev server with a virtual clock, and an app."""
    folder: Path = tmp_path_factory.mktemp("clock")
    args = ("--in-memory", "--no-discovery", "--clock", "virtual")
    with (
        Server("dev", *args, log=folder / "server.log").start() as made,
        RawApp(folder, made.url).up() as app,
    ):
        requests.put(app.url, timeout=30).raise_for_status()
        wait_until(lambda: registered(made.url), 20, "the functions are known")
        yield made


def opened(server: Server, page: Page, function: str, **data: object) -> str:
    """Start a run, and open its page when it waits."""
    api = Api(server.url)
    event_id = api.send(f"raw/{function}", dict(data))
    [run] = wait_until(lambda: api.runs(event_id), 20, "the run")
    page.goto(f"{server.url}/runs/{run['run_id']}")
    return str(run["run_id"])


def test_a_sleep_of_three_days_ends_by_one_press(server: Server, page: Page) -> None:
    opened(server, page, "sleeper", seconds=DAYS_3)
    expect(page.get_by_text("Sleeps in step 'nap'")).to_be_visible()
    state = page.locator("#clock-state")
    expect(state.get_by_text("GMT+9")).to_be_visible()  # the viewer's zone
    expect(state.get_by_text("next due in")).to_contain_text("2 days")  # and 23 hours
    page.set_viewport_size({"width": 1280, "height": 400})
    page.evaluate("scrollTo(0, 200)")
    page.get_by_role("button", name="To the next").click()
    expect(page.locator(".facts .status").first).to_have_text("completed")  # by news alone
    expect(state.get_by_text("3d ahead of the real time")).to_be_visible()
    assert page.evaluate("scrollY") > 100  # the page stays where it was
    page.goto(f"{server.url}/runs")  # times count from the clock's now
    expect(page.locator("tr[data-row]").first).to_contain_text("3 days ago")


def test_a_refusal_and_a_far_move(server: Server, page: Page) -> None:
    script = browsers.axe()
    page.goto(f"{server.url}/functions")
    page.get_by_label("Move the clock").fill("yesterday")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("neither a duration such as 3d nor a time")
    expect(page.get_by_label("Move the clock")).to_have_value("yesterday")
    page.get_by_label("Move the clock").fill("400d")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("that is 400 days ahead")
    assert page.url.endswith("/functions")
    for dark in (False, True):
        page.emulate_media(color_scheme="dark" if dark else "light")
        assert flaws(page, script) == []
    page.get_by_label("Move it that far").check()
    page.locator(".clock-no").get_by_role("button", name="Move").click()
    expect(page.locator("#clock-state").get_by_text("ahead of the real time")).to_contain_text("40")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_the_bar_on_a_phone_and_a_wait_that_is_skipped(server: Server, page: Page) -> None:
    run_id = opened(server, page, "waiter", n=1)
    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.get_by_role("button", name="Skip this wait")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert flaws(page, browsers.axe()) == []
    page.get_by_role("button", name="Skip this wait").click()
    expect(page.get_by_role("status").filter(has_text="The wait was skipped")).to_be_visible()
    expect(page.locator(".facts .status").first).to_have_text("completed")
    assert run_id in page.url
    shot(page, "clock-phone")


def test_a_move_that_waits_is_shown_and_stopped(server: Server, page: Page) -> None:
    run_id = opened(server, page, "seq5", takes=10)
    page.get_by_role("button", name="+1 d").click()
    state = page.locator("#clock-state")
    expect(state).to_contain_text("moving")
    expect(state).to_contain_text("waits for the")
    expect(state.get_by_role("link", name=run_id)).to_be_visible()
    state.get_by_role("button", name="Stop here").click()
    expect(state).to_contain_text("stands still")
    shown = state.locator("time").first.inner_text()
    expect(state.get_by_role("button", name="Resume")).to_be_visible()
    page.reload()
    assert state.locator("time").first.inner_text() == shown
    state.get_by_role("button", name="Resume").click()
    expect(state).to_contain_text("running")
    expect(state.locator("time").first).not_to_have_text(shown)  # it ticks
