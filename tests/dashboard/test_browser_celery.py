"""A Celery app in a real browser, with a real broker and worker."""

from collections.abc import Iterator

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from tests.acceptance import shop as tasks
from tests.acceptance.celery_shop import Client, Shop, shop_on
from tests.processes import Server, wait_until
from tests.servers import Valkey

from . import browser

pytestmark = pytest.mark.skipif(browser.found() is None, reason="no Chromium on this machine")
_SECONDS = 60


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with shop_on(Valkey(), tmp_path_factory.mktemp("pages")) as made:
        yield made


@pytest.fixture(scope="module")
def server(shop: Shop) -> Iterator[Server]:
    env = {"INNGEST_DEV": "1", "DATABASE_URL": f"sqlite:///{shop.folder}/server.db"}
    with (
        Server("dev", log=shop.folder / "server.log", env=env) as made,
        shop.worker(concurrency=1),
    ):
        yield made.start()


@pytest.fixture(scope="module")
def client(shop: Shop, server: Server, chromium: Browser) -> Client:
    """Connect the app by its form, in a browser without JavaScript."""
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{server.url}/apps")
    page.get_by_text("Connect a Celery app").click()
    page.get_by_label("Name").fill("shop")
    page.get_by_label("URL of its broker").fill(shop.broker.url)
    page.get_by_label("Queue that its workers read").fill("shop")
    page.get_by_role("button", name="Connect").click()
    expect(page.get_by_text("The Celery app is connected")).to_be_visible()
    context.close()
    made = Client(server.url)
    wait_until(lambda: made.apps()[0]["tasks"], _SECONDS, "the app's tasks to be found")
    return made


def _is_sound(page: Page, name: str) -> None:
    """Check a page with axe, and that it does not scroll sideways on a phone."""
    browser.shot(page, name)
    assert browser.flaws(page, browser.axe()) == []
    size = page.viewport_size
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    browser.shot(page, f"{name}-phone")
    assert size is not None
    page.set_viewport_size(size)


def test_workers_queues_and_tasks_are_seen(client: Client, shop: Shop, page: Page) -> None:
    run_id = client.start(tasks.nap.s(20, "seen"))
    wait_until(lambda: "begin seen" in shop.effects, _SECONDS, "the worker to begin")

    def running() -> bool:
        [worker] = client.apps()[0]["worker_details"]
        return [one["name"] for one in worker["running"]] == ["shop.nap"]

    wait_until(running, _SECONDS, "the watcher to see the task")
    page.goto(f"{client.url}/apps")
    card = page.get_by_role("article", name="shop")
    for text in ("connected", "one@shop", "prefork", "1 at a time", "shop.nap"):
        expect(card).to_contain_text(text)
    card.locator("summary").click()
    _is_sound(page, "celery-apps")
    card.get_by_role("link", name="shop.charge").click()
    expect(page.get_by_role("heading", name="Settings of the task")).to_be_visible()
    requests.delete(f"{client.url}/api/v1/runs/{run_id}", timeout=30)


def test_a_task_is_set_up_and_its_run_is_read(client: Client, page: Page) -> None:
    page.goto(f"{client.url}/functions?q=shop.retrying")
    page.get_by_role("link", name="shop-shop.retrying").click()
    page.get_by_text("Change what starts it").click()
    page.get_by_role("textbox", name="Starts on").fill("shop/retry")
    page.get_by_role("textbox", name="Arguments, an expression", exact=True).fill("[event.data.")
    page.get_by_role("button", name="Change settings").click()
    field = page.get_by_role("textbox", name="Arguments, an expression", exact=True)
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_role("textbox", name="Starts on")).to_have_value("shop/retry")
    _is_sound(page, "celery-task")
    field.fill("[event.data.key]")
    page.get_by_role("button", name="Change settings").click()
    expect(page.get_by_text("The settings of the task are changed")).to_be_visible()
    client.send("shop/retry", key="browser")
    path = "/api/v1/runs?limit=1&function=shop-shop.retrying"
    [run] = wait_until(lambda: client.get(path), _SECONDS, "the run")
    client.told(run["id"], executions=3)
    page.goto(f"{client.url}/runs/{run['id']}")
    page.get_by_role("link", name="Celery attempt 1").click()
    values = page.get_by_role("region", name="Error")
    expect(values).to_contain_text("Retry: Retry in 0s")
    expect(values).to_contain_text("Traceback")
    page.get_by_role("link", name="Attempt 1", exact=False).first.click()
    facts = page.locator("#values")
    for text in ("Task id, to look up in Flower", "In the broker's queue", "one@shop"):
        expect(facts.get_by_text(text, exact=True)).to_be_visible()
    _is_sound(page, "celery-run")
