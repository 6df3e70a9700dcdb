"""A search that could not look at every run in one request is continued by its page."""

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

pytestmark = pytest.mark.skipif(browsers.found() is None, reason="no Chromium")
RUNS = 20


@pytest.fixture
def url(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A server whose searches look at four runs in a request; its first run is the needle."""
    for name, value in (("_WINDOW", 2), ("_MOST_WINDOW", 2), ("MOST_SCANNED", 4)):
        monkeypatch.setattr(f"inngest_py.dashboard.parts.lists.{name}", value)
    with copied(request, "sqlite", tmp_path) as db:
        site = Site(db)
        for n in range(RUNS):
            site.engine.start(data={"text": "" if n else "needle"})
        server = make_server(LOOPBACK, 0, site.app, threaded=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://{LOOPBACK}:{server.port}"
        server.shutdown()
        thread.join()


def test_a_search_is_continued_by_its_page(url: str, page: Page) -> None:
    for path, row in (("/runs?q=needle", "app-fn"), ("/events?q=needle", "a/b")):
        page.goto(url + path)
        expect(page.get_by_text(f"Looked at {RUNS} ")).to_contain_text("to the oldest")
        expect(page.get_by_role("link", name=row)).to_have_count(1)
        expect(page.get_by_role("link", name="Look further back")).to_have_count(0)
    page.goto(f"{url}/runs?q=nowhere")
    expect(page.get_by_text(f"Looked at {RUNS} runs")).to_contain_text("to the oldest")
    expect(page.locator("[data-row]")).to_have_count(0)
