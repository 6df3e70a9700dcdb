"""A real browser clicks through every page of a real server with a real SDK's app."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Page, expect
from sqlalchemy import delete

from inngest_py.domain.runs.runs import LIVE
from inngest_py.storage.db.session import Database
from inngest_py.storage.runs.runs import RunRow
from tests.processes import Server, free_port, wait_until
from tests.sdk.app_process import SdkApp
from tests.sdk.client import Api

from . import browser as browsers
from .browser import flaws, shot

pytestmark = pytest.mark.skipif(
    browsers.found() is None,
    reason="no Chromium: make servers installs it where apt does, or set CHROMIUM to one",
)
SCENARIOS = ("noop", "sequential", "parallel", "sleep", "retry", "no_retry", "invoke_many")
PAGES = ("Home", "Runs", "Events", "Functions", "Apps", "Queues", "Alerts")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A dev server with an app whose runs have ended."""
    folder: Path = tmp_path_factory.mktemp("browser")
    args = ("--db", str(folder / "s.db"), "--no-discovery", "--retry-interval", "1")
    with Server("dev", *args, log=folder / "server.log") as made:
        made.start()
        with SdkApp("python-flask", made.url, folder).start() as app:
            assert app.register().status_code == 200
            _register_a_long_name(made)
            api = Api(made.url)
            for name in SCENARIOS:
                api.send(f"python-flask/{name}", {"n": 1, "html": "<b>bold</b><script>x</script>"})
            yield made


def _register_a_long_name(server: Server) -> None:
    """Register an app that no process serves, with a name that is too long for a column."""
    url = f"http://127.0.0.1:{free_port()}/api/inngest"
    slug = "far-" + "-".join(["longer", "than", "any", "column"] * 5)
    runtime = {"type": "http", "url": f"{url}?fnId={slug}&stepId=step"}
    function = {
        "id": slug,
        "name": slug,
        "triggers": [{"event": f"far/{slug}"}],
        "steps": {"step": {"id": "step", "name": "step", "runtime": runtime}},
    }
    payload = {"appName": "far", "url": url, "sdk": "raw:v1", "functions": [function]}
    requests.post(f"{server.url}/fn/register", json=payload, timeout=30).raise_for_status()


def test_every_page_by_its_link_dark_and_light_and_small(server: Server, page: Page) -> None:
    """Slow: a browser opens every page three times, and its contrast and labels are checked."""
    script = browsers.axe()
    page.goto(server.url)
    for dark in (False, True):
        page.emulate_media(color_scheme="dark" if dark else "light")
        for name in PAGES:
            page.get_by_role("navigation", name="Pages").get_by_role("link", name=name).click()
            expect(page.locator("#live")).to_be_visible()
            assert flaws(page, script) == [], name
            shot(page, f"{name.lower()}-{'dark' if dark else 'light'}")
    page.set_viewport_size({"width": 390, "height": 844})
    for name in PAGES:
        page.get_by_role("navigation", name="Pages").get_by_role("link", name=name).click()
        expect(page.locator("#live")).to_be_visible()
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{name} is {wide} px too wide for a phone"
        shot(page, f"{name.lower()}-phone")


def test_a_failed_run_its_step_and_its_rerun(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/runs?status=failed")
    page.get_by_role("link", name="python-flask-no_retry").click()
    expect(page.get_by_text("never", exact=False).first).to_be_visible()
    shot(page, "run-failed")
    page.goto(f"{server.url}/runs")
    page.get_by_role("link", name="python-flask-retry").first.click()
    page.locator(".falls a", has_text="flaky").first.click()
    expect(page.get_by_role("heading", name="flaky")).to_be_visible()
    assert flaws(page, browsers.axe()) == []
    shot(page, "run-step")
    page.get_by_role("button", name="Run again", exact=True).click()
    expect(page.get_by_role("status").filter(has_text="repeats")).to_be_visible()
    expect(page.locator(".facts .status").first).to_have_text("completed")  # by news alone


def test_lists_update_themselves_and_times_are_in_the_viewers_zone(
    server: Server, page: Page
) -> None:
    page.goto(f"{server.url}/events")
    expect(page.locator("#live-dot[data-state=live]")).to_be_visible()
    Api(server.url).send("live/one", {})
    expect(page.get_by_role("link", name="live/one")).to_be_visible()
    page.get_by_role("link", name="live/one").click()
    expect(page.get_by_text("No function listens to this name")).to_be_visible()
    time = page.locator("time").first
    stamp = time.get_attribute("datetime") or ""
    hour = (int(stamp[11:13]) + 9) % 12 or 12
    assert re.search(rf"\b{hour}:{stamp[14:16]}", time.inner_text())


def test_markup_shows_as_text(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/events?name=python-flask/noop")
    page.get_by_role("link", name="python-flask/noop").first.click()
    expect(page.locator(".json")).to_contain_text("<script>x</script>")


def test_keys(server: Server, page: Page) -> None:
    page.goto(server.url)
    for key, path in (("r", "/runs"), ("e", "/events"), ("f", "/functions"), ("h", "/")):
        page.keyboard.press("g")
        page.keyboard.press(key)
        page.wait_for_url(f"{server.url}{path}")
    page.goto(f"{server.url}/runs")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/runs/\w+"))
    page.goto(f"{server.url}/runs")
    page.keyboard.press("/")
    expect(page.locator("[data-search]")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("t")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()


def test_forms(server: Server, page: Page) -> None:
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto(f"{server.url}/events/send")
    page.get_by_label("Name").fill("python-flask/noop")
    page.get_by_label("Data, a JSON object").fill('{"by": "hand"}')
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("status").filter(has_text="stored")).to_be_visible()
    page.goto(f"{server.url}/functions?q=noop")
    page.locator("a[data-open]").first.click()
    page.get_by_role("button", name="Pause, hold new").click()
    expect(page.get_by_text("Paused since")).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("Paused since")).to_be_hidden()
    page.goto(f"{server.url}/runs")
    page.get_by_label("on this page").check()
    page.get_by_role("button", name="Run again").click()
    expect(page.get_by_role("status").filter(has_text="run again")).to_be_visible()


def all_have_ended(server: Server) -> bool:
    """Say whether no run goes on, also none that another test began."""
    url = f"{server.url}/api/v1/runs?limit=1&status="
    return not any(requests.get(url + one, timeout=30).json()["data"] for one in LIVE)


def test_filters_stay_in_the_url_and_say_what_is_wrong(server: Server, page: Page) -> None:
    wait_until(lambda: all_have_ended(server), 30, "all runs to have failed that will")
    page.goto(f"{server.url}/runs?status=failed")
    page.get_by_text("More", exact=True).click()
    page.get_by_label("Expression (CEL)").fill("event.data.n == ")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_role("alert")).to_contain_text("syntax error")
    expect(page.get_by_text("No run matches")).to_be_hidden()
    page.get_by_label("Expression (CEL)").fill("event.data.n == 1")
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url(re.compile(r"status=failed.*cel=event.data.n"))
    expect(page.locator("a[data-open]").first).to_be_visible()
    with page.expect_download() as saved:
        page.get_by_role("link", name="CSV").click()
    rows = Path(saved.value.path()).read_text().splitlines()
    assert len(rows) == 1 + page.locator("a[data-open]").count()


def test_a_result_is_given_by_hand_as_it_was_typed(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/runs")
    page.get_by_role("link", name="python-flask-sequential").last.click()
    page.locator(".falls .d1 a").first.click()
    page.get_by_text("Use a value as this step's result").click()
    page.get_by_label("Result, any JSON").fill("[1")
    page.get_by_role("button", name="Use this as").click()
    expect(page.get_by_role("alert")).to_contain_text("not JSON")
    expect(page.get_by_label("Result, any JSON")).to_have_value("[1")
    page.get_by_label("Result, any JSON").fill("[1]")
    page.get_by_role("button", name="Use this as").click()
    expect(page.get_by_role("status").filter(has_text="repeats")).to_be_visible()
    expect(page.locator(".falls").get_by_text("given by hand")).to_be_visible()


def test_a_duration_that_goes_on_counts(server: Server, page: Page) -> None:
    Api(server.url).send("python-flask/nap")
    page.goto(f"{server.url}/runs?status=running")
    page.get_by_role("link", name="python-flask-nap").first.click()
    elapsed = page.locator("#timeline [data-elapsed]")
    expect(elapsed).to_be_visible()
    before = elapsed.text_content()
    expect(elapsed).not_to_have_text(before or "")


def test_an_event_is_edited_and_sent_again(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/events?name=python-flask/noop")
    page.locator("a[data-open]").last.click()
    page.get_by_role("link", name="Edit and send again").click()
    data = page.get_by_label("Data, a JSON object")
    expect(data).to_have_value(re.compile("<b>bold</b>"))
    data.fill('{"edited": [1}')
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("alert")).to_contain_text("not JSON")
    data.fill('{"edited": [1]}')
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("status").filter(has_text="stored")).to_be_visible()
    expect(page.locator(".json")).to_contain_text('"edited"')
    expect(page.locator("#live .status")).to_have_text("completed")


def test_chosen_runs_are_cancelled(server: Server, page: Page) -> None:
    page.on("dialog", lambda dialog: dialog.accept())
    api = Api(server.url)
    function = f"{server.url}/v1/functions/python-flask-noop"
    held = requests.post(f"{function}/pause", json={"events": "hold"}, timeout=30)
    assert held.status_code == 200
    sent = [api.send("python-flask/noop", {"n": n}) for n in range(3)]
    wait_until(lambda: all(api.runs(event_id) for event_id in sent), 30, "three runs")
    page.goto(f"{server.url}/runs?status=queued&function=python-flask-noop")
    rows = page.locator("input[name=run]")
    expect(rows).to_have_count(3)
    rows.nth(0).check()
    rows.nth(2).check()
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_role("status").filter(has_text="2 cancelled, 0 had")).to_be_visible()
    expect(rows).to_have_count(1)
    requests.post(f"{function}/resume", timeout=30).raise_for_status()
    page.goto(f"{server.url}/runs/{api.runs(sent[1])[0]['run_id']}")
    expect(page.locator(".facts .status").first).to_have_text("completed")


def test_bulk_act_without_chosen_runs_does_nothing(server: Server, page: Page) -> None:
    told: list[str] = []
    page.on("dialog", lambda dialog: (told.append(dialog.message), dialog.accept()))
    page.goto(f"{server.url}/runs?status=completed")
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.locator("input[name=run]").first).to_be_visible()
    assert len(told) == 1
    assert "Choose runs first" in told[0]
    assert page.url == f"{server.url}/runs?status=completed"


def test_an_app_is_synced_again(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/apps")
    card = page.get_by_role("article", name="python-flask")
    card.get_by_role("button", name="Sync again").click()
    told = page.get_by_role("status").filter(has_text="asked to sync, and did")
    expect(told).to_be_visible()
    expect(card.get_by_text("in sync")).to_be_visible()


def test_browser_at_an_unknown_path_gets_a_page(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/rnus")
    page.get_by_role("main").get_by_role("link", name="runs").click()
    page.wait_for_url(f"{server.url}/runs")


def test_limits_and_invocation(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/functions?q=python-flask-noop")
    page.locator("a[data-open]").first.click()
    page.get_by_text("Change limits without a deploy").click()
    page.get_by_label("Limits as JSON").fill('{"concurrency": 7}')
    page.get_by_role("button", name="Change limits").click()
    expect(page.get_by_text("7 steps at a time").first).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("7 steps at a time")).to_be_hidden()
    page.get_by_text("Invoke it now").click()
    page.get_by_label("Data, a JSON object").fill("{")
    page.get_by_role("button", name="Invoke").click()
    expect(page.locator("#h-data")).to_contain_text("not JSON")
    page.get_by_label("Data, a JSON object").fill('{"by": "hand"}')
    page.get_by_role("button", name="Invoke").click()
    expect(page.get_by_role("status").filter(has_text="invoked")).to_be_visible()


def test_an_app_is_added_by_its_url(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/apps")
    page.get_by_label("Add an app").fill("ftp://nowhere")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_role("alert")).to_be_visible()
    dead = f"127.0.0.1:{free_port()}"
    page.get_by_label("Add an app").fill(f"http://{dead}/api/inngest")
    page.get_by_role("button", name="Add").click()
    card = page.locator("article", has_text=dead.partition(":")[2])
    expect(card.get_by_text("unreachable")).to_be_visible()
    assert flaws(page, browsers.axe()) == []
    page.get_by_role("link", name="Audit").click()
    expect(page.get_by_role("row").nth(1)).to_contain_text(dead.partition(":")[2])
    page.set_viewport_size({"width": 390, "height": 844})
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, f"the audit is {wide} px too wide for a phone"
    shot(page, "audit-phone")


def test_page_of_a_run_says_when_it_is_deleted(server: Server, page: Page) -> None:
    db = Database(f"sqlite:///{server.log.parent / 's.db'}")
    api = Api(server.url)
    function = f"{server.url}/v1/functions/python-flask-sequential"
    held = requests.post(f"{function}/pause", json={"events": "hold"}, timeout=30)
    assert held.status_code == 200  # its run lasts as long as the test needs
    event_id = api.send("python-flask/sequential", {})
    [run] = wait_until(lambda: api.runs(event_id), 30, "the run")
    page.goto(f"{server.url}/runs/{run['run_id']}")
    expect(page.locator("#live[hx-trigger]")).to_be_visible()
    expect(page.locator("#live-dot[data-state=live]")).to_be_visible()
    with db.transaction() as tx:
        tx.execute(delete(RunRow).where(RunRow.id == run["run_id"]))
    db.close()
    api.send("live/two", {})
    expect(page.locator("#live")).to_contain_text("has been deleted")
    requests.post(f"{function}/resume", timeout=30).raise_for_status()
