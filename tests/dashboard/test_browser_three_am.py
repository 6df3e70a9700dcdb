"""Who is woken at three: from home to all failed runs run again, with a stopwatch in clicks."""

import pytest
from playwright.sync_api import Page, expect

from inngest_py.engine.upkeep.errors import grouping
from tests.factories import reply

from . import browser as browsers
from .conftest import Site
from .test_browser_operations import served
from .test_operations import finish

pytestmark = pytest.mark.skipif(browsers.found() is None, reason="no Chromium")
__all__ = ["served"]


def test_three_clicks_from_home_to_the_cure(served: tuple[Site, str], page: Page) -> None:
    site, url = served
    grouping.group(site.engine.ctx)
    site.engine.sdk.script = lambda *_: reply(200, "mended")
    page.goto(url)
    page.get_by_role("main").get_by_role("link", name="Boom").click()
    expect(page.get_by_text("Runs that failed", exact=True)).to_be_visible()
    page.get_by_role("link", name="Run all again").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(
        "Run again 3 failed runs of app-fn"
    )
    page.get_by_role("button", name="Run again 3 runs").click()
    expect(page.get_by_text("0 of 3 done")).to_be_visible()
    finish(site)
    site.engine.drain()
    done = page.get_by_text("3 of 3 done: 3 run again. Their runs now: 3 completed.")
    expect(done).to_be_visible()
    page.goto(f"{url}/errors")
    page.get_by_role("main").get_by_role("link", name="Boom").click()
    expect(page.get_by_text("run again by an operation: completed")).to_have_count(3)
