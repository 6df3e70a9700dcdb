"""The dashboard as Flask serves it, on both databases, and a real browser for a real server."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Response, expect

from inngest_py.api.app import create_app
from inngest_py.config import Settings
from inngest_py.dashboard import app as dashboard
from inngest_py.dashboard.parts import lists
from inngest_py.engine.intake.publish import accept
from inngest_py.storage.db.session import Database
from inngest_py.storage.queries import run_list
from tests.engine.harness import Engine, sequence
from tests.factories import reply

from . import browser as browsers

# long enough for a busy machine
expect.set_options(timeout=30_000)
EVIL = "<script>alert(1)</script>\"'&"
_CSRF = re.compile(r'name="csrf" value="([0-9a-f]{64})"')


class Site:
    """An engine with API and dashboard, and a simple browser for them."""

    def __init__(self, db: Database, **settings: Any) -> None:
        self.engine = Engine(db, sequence("one", "two"))
        self.settings = replace(Settings(dev=True, database_url=str(db.url)), **settings)
        self.app = create_app(self.settings, self.engine.ctx)
        self.pulse = dashboard.add_to(self.app, self.settings, self.engine.ctx)
        self.client: FlaskClient = self.app.test_client()

    def get(self, path: str, status: int = 200) -> str:
        """Read a page."""
        answered = self.client.get(path)
        assert answered.status_code == status, f"{path}: {answered.status_code} {answered.text}"
        return answered.text

    def csrf(self, path: str = "/apps") -> str:
        """Read the token of the forms on a page."""
        found = _CSRF.search(self.get(path))
        assert found is not None
        return found.group(1)

    def post(self, path: str, status: int = 303, **form: Any) -> Any:
        """Send a form, with its token; return the answer."""
        answered = self.client.post(path, data={"csrf": self.csrf(), **form})
        assert answered.status_code == status, f"{path}: {answered.status_code} {answered.text}"
        return answered

    def send(self, **payload: Any) -> str:
        """Send an event; return its id."""
        event = self.engine.event(**payload)
        accept(self.engine.ctx, [event])
        return event.id


def failing(request: dict[str, Any], target: str) -> Any:
    """Fail a function at once, with markup in its message."""
    error = {"name": "Boom", "message": f"it broke {EVIL}", "stack": "at line 1"}
    return reply(500, error, x_inngest_no_retry="true")


def run_ids(site: Site, **query: Any) -> list[str]:
    """Find the runs that a query of lists finds."""
    with site.engine.ctx.db.reading() as tx:
        rows = run_list.page(tx, run_list.RunQuery(**query), first=100).rows
    return [row["id"] for row in rows]


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let searches look at all there is, however busy the machine is."""
    monkeypatch.setattr(lists, "_MOST_SECONDS", 30.0)


@pytest.fixture
def site(db: Database) -> Site:
    """A dev server with one app of one function, which runs on a/b."""
    return Site(db)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browsers.chromium() as made:
        yield made


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    made = chromium.new_context(viewport={"width": 1280, "height": 860}, timezone_id="Asia/Tokyo")
    made.set_default_timeout(30_000)
    yield made
    made.close()


# what the browser and htmx say then
_NOT_ANSWERED = ("Failed to load resource", "htmx:sendError", "htmx:afterRequest")


def _note(wrong: list[str], told: ConsoleMessage) -> None:
    # a busy machine may answer late or not at all: the page asks again, so that is no error
    if told.type == "error" and not told.text.startswith(_NOT_ANSWERED):
        wrong.append(told.text)


def _note_answer(wrong: list[str], answered: Response) -> None:
    if answered.status == 500 or (answered.status >= 400 and "/ui/static/" in answered.url):
        wrong.append(f"{answered.status} {answered.url}")


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page whose errors fail the test."""
    made = context.new_page()
    wrong: list[str] = []
    made.on("console", lambda told: _note(wrong, told))
    made.on("pageerror", lambda error: wrong.append(str(error)))
    made.on("response", lambda answered: _note_answer(wrong, answered))
    yield made
    assert wrong == []
