"""The bar of a virtual clock: forms without scripts, refusals, and who may move it."""

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from inngest_py.api.app import create_app
from inngest_py.dashboard import app as dashboard
from inngest_py.engine.clock.mover import Mover
from inngest_py.engine.clock.virtual import VirtualClock
from inngest_py.storage.db.session import Database
from tests.dashboard.conftest import Site
from tests.engine.waiting import waits
from tests.factories import NOW, op

NAP = op("Sleep", "nap", name="3d")


class Movable(Site):
    """A dev server with a virtual clock that stands, over a real time that stands."""

    def __init__(self, db: Database) -> None:
        super().__init__(db)
        ctx = self.engine.ctx
        self.real = NOW
        self.clock = VirtualClock(NOW, lambda: self.real, is_frozen=True)
        ctx.clock, ctx.real_clock = self.clock.now, self.clock.real
        self.mover = Mover(ctx, self.clock)
        self.app = create_app(self.settings, ctx, mover=self.mover)
        self.pulse = dashboard.add_to(self.app, self.settings, ctx, self.mover)
        self.client = self.app.test_client()

    def command(self, status: int = 303, **form: Any) -> Any:
        """Send a form of the bar and wait for the end of the move."""
        answered = self.post("/clock", status, **form)
        assert self.mover.wait(30)
        return answered


@pytest.fixture
def movable(db: Database) -> Movable:
    return Movable(db)


def bar(page: str) -> str:
    """Cut the bar out of a page, without markup."""
    found = re.search(r'<section class="clock".*?</section>', page, re.DOTALL)
    assert found is not None
    return " ".join(re.sub(r"<[^>]+>", " ", found.group()).split())


def test_every_page_shows_it(movable: Movable) -> None:
    for path in ("/", "/runs", "/events", "/functions", "/apps", "/queues", "/audit"):
        told = bar(movable.get(path))
        assert "2026-01-02 03:04:05 UTC the real time stands still nothing is due later" in told
    assert "stands still" in bar(movable.get("/runs/01JD0000000000000000000000", 404))


def test_servers_with_the_real_time_have_none(site: Site) -> None:
    assert 'id="clock"' not in site.get("/runs")
    assert "has no virtual clock" in site.get("/clock", 404)
    assert "has no virtual clock" in site.post("/clock", 404, by="1d").text


def test_it_is_moved_and_leads_back_to_the_page(movable: Movable) -> None:
    for form, ahead in (
        ({"by": "1m"}, timedelta(minutes=1)),
        ({"by": "1h"}, timedelta(hours=1, minutes=1)),
        ({"to": "3d"}, timedelta(days=3, hours=1, minutes=1)),
        ({"to": " 2026-01-09T03:04:05Z "}, timedelta(days=7)),
    ):
        sent = movable.command(**form, back="/runs?status=running&status=queued")
        assert sent.location == "/runs?status=running&status=queued"
        assert movable.clock.now() == NOW + ahead
    told = bar(movable.get(sent.location))
    assert "2026-01-09 03:04:05 UTC 7d ahead of the real time" in told
    movable.real = NOW + timedelta(days=8)
    assert "1d behind the real time" in bar(movable.get("/"))


def test_it_stands_still_and_runs_on(movable: Movable) -> None:
    movable.command(do="resume")
    assert not movable.clock.is_frozen
    told = bar(movable.get("/"))
    assert "running" in told
    assert "Freeze" in told
    movable.command(do="freeze")
    assert movable.clock.is_frozen
    assert "Resume" in bar(movable.get("/"))


def test_it_says_what_is_due_next(movable: Movable) -> None:
    movable.engine.sdk.script = waits(NAP)
    movable.engine.start()
    movable.engine.drain()
    assert "next due 2026-01-05 03:04:05 UTC" in bar(movable.get("/"))


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"to": "yesterday"}, "'yesterday' is neither a duration such as 3d nor a time such as"),
        ({"to": "2020-01-01"}, "the clock cannot go back: it is at 2026-01-02T03:04:05Z"),
        ({"to": "-3d"}, "the clock cannot go back"),
        ({"by": "x"}, "is not a duration"),
        ({"to": "9999999h"}, "'9999999h' is neither"),
        ({"do": "next"}, "nothing is due later"),
        ({"do": "nothing"}, "type a duration such as 3d"),
        ({}, "type a duration such as 3d"),
        ({"to": "<b>"}, "'<b>' is neither"),
    ],
)
def test_refusals_are_told_at_the_bar_once(
    movable: Movable, form: dict[str, str], told: str
) -> None:
    sent = movable.command(**form, back="/events")
    assert sent.location == "/events"
    news = movable.client.get("/events", headers={"HX-Request": "true"}).text
    assert "clock-no" not in news  # a part of a page that is open shows it to nobody
    page = movable.get("/events")
    assert told in unescape(bar(page))
    assert 'role="alert"' in page
    assert "<b>" not in page
    assert 'role="alert"' not in movable.get("/events")
    assert movable.clock.now() == NOW


def test_a_far_move_is_confirmed_by_a_tick(movable: Movable) -> None:
    movable.command(to="800d")
    page = movable.get("/")
    assert "that is 800 days ahead, more than 365" in bar(page)
    assert "Move it that far" in bar(page)
    assert '<input type="hidden" name="to" value="800d">' in page
    assert movable.clock.now() == NOW
    movable.command(to="800d", yes="1")
    assert movable.clock.now() == NOW + timedelta(days=800)
    assert "clock-no" not in movable.get("/")


def test_a_refusal_is_seen_by_its_own_browser_alone(movable: Movable) -> None:
    movable.command(to="yesterday")
    other = movable.app.test_client()
    assert 'role="alert"' not in other.get("/").text
    assert 'role="alert"' in movable.get("/")


def test_scripts_get_the_bar_alone(movable: Movable) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": "http://localhost/runs?status=failed"}
    token = movable.csrf()
    form = {"csrf": token, "to": "yesterday"}
    refused = movable.client.post("/clock", data=form, headers=headers)
    assert (refused.status_code, refused.text.strip()[:23]) == (200, '<section class="clock" ')
    assert "is neither" in refused.text
    assert 'name="back" value="/runs?status=failed"' in refused.text
    assert "clock-no" not in movable.get("/")  # it has been told
    state = movable.client.get("/clock", headers=headers)
    assert state.text.strip().startswith('<div class="clock-state"')
    assert movable.client.get("/clock").location == "/"  # a person is led to a page


@pytest.mark.parametrize("back", ["https://evil.example/", "//evil.example", "", "x", "/a\nb"])
def test_it_leads_to_no_other_server(movable: Movable, back: str) -> None:
    assert movable.command(by="1m", back=back).location == "/"


def test_after_a_form_that_failed_it_leads_to_the_page_before(movable: Movable) -> None:
    headers = {"Referer": "http://localhost/runs?status=running"}
    form = {"csrf": movable.csrf(), "action": "cancel"}
    failed = movable.client.post("/runs/bulk", data=form, headers=headers)
    assert failed.status_code == 400
    assert 'name="back" value="/runs?status=running"' in failed.text


def test_a_page_is_shown_though_the_clock_cannot_be_read(
    movable: Movable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise OperationalError("SELECT 1", {}, Exception("gone"))

    monkeypatch.setattr(movable.mover, "state", away)
    assert 'id="clock"' not in movable.get("/apps")
    part = movable.client.get("/clock", headers={"HX-Request": "true"})
    assert (part.status_code, part.text) == (204, "")
