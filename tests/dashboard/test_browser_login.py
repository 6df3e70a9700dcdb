"""Production in a real browser: the login, and what each role sees."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.processes import Server
from tests.sdk.client import Api

from . import browser as browsers
from .browser import flaws, shot

pytestmark = pytest.mark.skipif(browsers.found() is None, reason="no Chromium: see make servers")
PASSWORDS = {"viewer": "look but not touch", "operator": "press every button", "admin": "all of it"}
KEYS = ("--event-key", "e" * 32, "--signing-key", "signkey-prod-" + "ab" * 32)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A production server on SQLite with a user of each role, and one event."""
    folder: Path = tmp_path_factory.mktemp("login")
    url = f"sqlite:///{folder / 's.db'}"
    with Server("start", "--database-url", url, *KEYS, log=folder / "server.log").start() as made:
        for name, password in PASSWORDS.items():
            argv = [sys.executable, "-m", "inngest_py", "users", "add", name, "--role", name]
            argv += ["--database-url", url]
            subprocess.run(argv, input=password, text=True, check=True, capture_output=True)
        Api(made.url, event_key="e" * 32).send("shop/order", {"n": 1})
        yield made


def log_in(page: Page, name: str, password: str) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def test_a_page_asks_for_a_login_and_then_is_shown(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/events?name=shop/order")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    assert flaws(page, browsers.axe()) == []
    shot(page, "login")
    log_in(page, "operator", "guess")
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_label("Password")).to_be_focused()
    log_in(page, "operator", PASSWORDS["operator"])
    page.wait_for_url(f"{server.url}/events?name=shop/order")
    expect(page.get_by_role("link", name="shop/order")).to_be_visible()
    expect(page.locator("#live-dot[data-state=live]")).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    page.goto(f"{server.url}/runs")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


@pytest.mark.parametrize("role", PASSWORDS)
def test_each_role_sees_what_it_may_do(server: Server, page: Page, role: str) -> None:
    acts, audits = role != "viewer", role == "admin"
    page.goto(f"{server.url}/login")
    log_in(page, role, PASSWORDS[role])
    page.wait_for_url(f"{server.url}/")
    expect(page.get_by_role("link", name="Audit")).to_have_count(int(audits))
    page.goto(f"{server.url}/events")
    expect(page.get_by_role("link", name="Send an event")).to_have_count(int(acts))
    page.get_by_role("link", name="shop/order").click()
    expect(page.get_by_role("link", name="Edit and send again")).to_have_count(int(acts))
    page.goto(f"{server.url}/runs")
    expect(page.get_by_role("link", name="Send an event")).to_have_count(int(acts))
    page.goto(f"{server.url}/apps")
    expect(page.get_by_label("Add an app")).to_have_count(int(acts))
    page.goto(f"{server.url}/audit")
    told = page.get_by_role("alert")
    if audits:
        expect(page.get_by_role("cell", name="login", exact=True).first).to_be_visible()
    else:
        expect(told).to_contain_text("this needs the role admin")


def test_an_admin_adds_a_user_who_changes_the_password(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/login")
    log_in(page, "admin", PASSWORDS["admin"])
    page.get_by_role("link", name="Access").click()
    page.get_by_text("Add a user").click()
    page.get_by_label("Name").fill("viewer")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_label("Name")).to_be_focused()
    expect(page.get_by_label("Name")).to_have_accessible_description(
        re.compile("there is a user viewer already")
    )
    assert flaws(page, browsers.axe()) == []
    page.get_by_label("Name").fill("ann")
    page.get_by_role("button", name="Add").click()
    made = page.locator(".secret pre").inner_text()
    assert flaws(page, browsers.axe()) == []
    page.get_by_role("link", name="API tokens").click()
    page.get_by_label("Name").fill("deploys")
    page.get_by_role("button", name="Make it").click()
    token = page.locator(".secret pre").inner_text()
    assert flaws(page, browsers.axe()) == []
    answered = page.request.get(
        f"{server.url}/v1/events", headers={"Authorization": f"Bearer {token}"}
    )
    assert (answered.status, "may only send events" in answered.text()) == (403, True)
    page.get_by_role("button", name="Log out").click()
    log_in(page, "ann", made)
    page.get_by_role("link", name="ann").click()
    page.get_by_label("Present password").fill("a guess")
    for label in ("New password", "New password again"):
        page.get_by_label(label, exact=True).fill("battery staple")
    page.get_by_role("button", name="Change it").click()
    expect(page.get_by_label("Present password")).to_be_focused()
    assert flaws(page, browsers.axe()) == []
    page.get_by_label("Present password").fill(made)
    for label in ("New password", "New password again"):
        page.get_by_label(label, exact=True).fill("battery staple")
    page.get_by_role("button", name="Change it").click()
    expect(page.get_by_text("Your password is changed")).to_be_visible()
