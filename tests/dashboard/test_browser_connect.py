"""Connected workers in a real browser, with a real worker."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.processes import Server, wait_until
from tests.sdk.client import Api
from tests.sdk.connect_worker import KIND, ConnectWorker

from . import browser
from .test_browser_celery import _is_sound

pytestmark = pytest.mark.skipif(browser.found() is None, reason="no Chromium on this machine")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server("dev", "--in-memory", "--no-discovery", log=tmp_path / "server.log") as made:
        yield made.start()


def test_a_worker_is_seen_drained_and_gone(server: Server, tmp_path: Path, page: Page) -> None:
    gate, api = tmp_path / "gate", Api(server.url)
    with ConnectWorker(server.url, tmp_path).start() as worker:
        event = api.send(f"{KIND}/held", {"gate": str(gate)})
        wait_until(worker.effects, 30, "the step begun")
        (run,) = api.runs(event)
        page.goto(f"{server.url}/apps")
        card = page.get_by_role("article", name=KIND)
        for text in ("connected", "worker-1", "ready", "1 of 1000 calls", "linux"):
            expect(card).to_contain_text(text)
        link = card.get_by_role("link", name=f"{KIND}-held")
        expect(link).to_have_attribute("href", f"/runs/{run['run_id']}")
        _is_sound(page, "connected-workers")
        card.get_by_role("link", name="worker-1").click()
        expect(page.get_by_role("heading", name="worker-1")).to_be_visible()
        expect(page.get_by_role("link", name=f"{KIND}-held")).to_be_visible()
        _is_sound(page, "connected-worker")
        page.goto(f"{server.url}/apps")
        page.on("dialog", lambda asked: asked.accept())
        card.get_by_role("button", name="Drain").click()
        expect(page.get_by_text("The worker gets no more")).to_be_visible()
        expect(card).to_contain_text("no worker ready")
        gate.touch()
        expect(card).to_contain_text("nothing")
        card.get_by_role("button", name="Let it work").click()
        expect(card.locator("table")).to_contain_text("ready")
        assert api.run(event)["status"] == "Completed"
        worker.kill9()
        expect(card).to_contain_text("No worker of this app is connected")
        expect(card.locator("table")).to_contain_text("gone")
