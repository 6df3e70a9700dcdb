"""A browser runs failed runs again: from the list, by the question, to the live progress."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from werkzeug.serving import make_server

from tests.databases import copied
from tests.processes import LOOPBACK

from . import browser as browsers
from .conftest import Site
from .test_operations import failed_runs, finish

pytestmark = pytest.mark.skipif(browsers.found() is None, reason="no Chromium")


@pytest.fixture
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Site, str]]:
    """A server with three failed runs, and its URL."""
    with copied(request, "sqlite", tmp_path) as db:
        site = Site(db)
        failed_runs(site, 3)
        server = make_server(LOOPBACK, 0, site.app, threaded=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield site, f"http://{LOOPBACK}:{server.port}"
        server.shutdown()
        thread.join()


def look(page: Page, name: str) -> None:
    """Check the page with axe in both themes, and that no width scrolls sideways."""
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        for width in (1440, 1024, 390):
            page.set_viewport_size({"width": width, "height": 900})
            wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
            assert not page.evaluate(wide), f"{name} at {width} scrolls sideways"
            browsers.shot(page, f"{name}-{width}-{theme}")
        assert browsers.flaws(page, browsers.axe()) == []
    page.set_viewport_size({"width": 1440, "height": 900})


def test_from_failed_runs_to_completed_ones(served: tuple[Site, str], page: Page) -> None:
    site, url = served
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto(f"{url}/runs?status=failed")
    page.get_by_label("all that match").check()
    page.get_by_role("button", name="Run again").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Run again 3 failed runs?")
    look(page, "operation-form")
    page.get_by_label("Items a second").fill("10")
    page.get_by_role("button", name="Run again 3 runs").click()
    expect(page.get_by_text("0 of 3 done")).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    finish(site)
    site.engine.now += site.engine.ctx.tuning.lease
    finish(site)
    expect(page.get_by_text("3 of 3 done: 3 run again.")).to_be_visible()
    look(page, "operation")
    page.goto(f"{url}/operations")
    look(page, "operations")
    page.goto(f"{url}/operations/new?kind=replay_events&function=app-fn")
    look(page, "replay-form")
    page.goto(f"{url}/runs?status=failed")
    expect(page.get_by_text("run again by an operation: completed")).to_have_count(3)
    look(page, "runs-run-again")
