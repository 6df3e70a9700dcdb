"""Processes learn from each other which apps are down, and write only what has changed."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import RowMapping

from inngest_py.domain.reply.read import Reply
from inngest_py.engine.runtime.apps_down import AppsDown as Known
from inngest_py.engine.upkeep.apps_down import AppsDown
from inngest_py.storage.db.session import Database
from inngest_py.storage.queries import app_list
from tests.engine.harness import Engine, sequence
from tests.factories import NOW, reply

REFUSED = Reply(unreachable="connection refused", is_connected=False, url="http://app.test/x?k=1")
CAUSE = "http://app.test/x: connection refused"
TIMED_OUT = Reply(unreachable="timed out connecting", is_connected=False, url="http://app.test/x")
ANSWER = reply(200, {})
FAILURE = reply(500, {})
PROXY = Reply(status=502, headers={})
SILENT = Reply(unreachable="timed out", url="http://app.test/x")
LATER = timedelta(seconds=10)


class Process:
    """What one of several processes knows, with its service of upkeep."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.known = engine, Known()
        self.look()

    def calls(self, answer: Reply, *, after: timedelta = timedelta(0)) -> None:
        """Note what a call of the app was answered."""
        self.known.note(self.app["id"], answer, NOW + after)

    def look(self) -> None:
        """Write the changes and read those of others."""
        self.engine.ctx.apps_down = self.known
        AppsDown().run_once(self.engine.ctx)

    @property
    def app(self) -> RowMapping:
        with self.engine.ctx.db.reading() as tx:
            return app_list.every(tx)[0]

    @property
    def told(self) -> tuple[Any, Any]:
        return self.app["down_since"], self.app["down_cause"]


@pytest.fixture
def engine(db: Database) -> Engine:
    return Engine(db, sequence())


@pytest.mark.parametrize("back", [ANSWER, FAILURE], ids=["answer", "failure"])
def test_an_answer_to_another_process_ends_it(engine: Engine, back: Reply) -> None:
    one, other = Process(engine), Process(engine)
    one.calls(REFUSED)
    assert other.told == (None, None)
    one.look()
    assert one.told == (NOW, CAUSE)
    other.calls(back)
    other.look()
    assert one.told == (NOW, CAUSE)
    other.calls(back, after=LATER)
    other.look()
    assert one.told == (None, None)


def test_an_answer_ends_it_that_came_before_the_process_knew(engine: Engine) -> None:
    one, other = Process(engine), Process(engine)
    one.calls(REFUSED)
    one.look()
    other.calls(ANSWER, after=LATER)
    other.look()  # it learns of it
    other.look()
    assert one.told == (None, None)


def test_a_process_that_calls_nobody_reads_nothing(engine: Engine) -> None:
    """It may be there before the tables are."""
    engine.ctx.db.close()
    engine.ctx.db = Database("sqlite://")  # without tables
    AppsDown().run_once(engine.ctx)


def test_the_first_time_stays_and_the_last_cause_counts(engine: Engine) -> None:
    one, other = Process(engine), Process(engine)
    one.calls(REFUSED)
    one.look()
    other.calls(TIMED_OUT, after=LATER)
    other.look()
    assert one.told == (NOW, "http://app.test/x: timed out connecting")


def test_an_answer_that_is_older_does_not_end_it(engine: Engine) -> None:
    one, other = Process(engine), Process(engine)
    one.calls(REFUSED, after=LATER)
    one.look()
    other.look()
    other.calls(ANSWER)
    other.look()
    assert one.told == (NOW + LATER, CAUSE)


def test_a_proxy_that_answers_for_it_says_that_it_is_down(engine: Engine) -> None:
    one = Process(engine)
    one.calls(PROXY)
    one.look()
    assert one.told == (NOW, "HTTP 502 from a proxy, in place of the app")


def test_a_call_that_takes_too_long_says_nothing(engine: Engine) -> None:
    one = Process(engine)
    one.calls(SILENT)
    one.look()
    assert one.told == (None, None)
    one.calls(REFUSED)
    one.calls(SILENT, after=LATER)
    one.look()
    assert one.told == (NOW, CAUSE)


def test_calls_that_tell_no_news_leave_nothing_to_write(engine: Engine) -> None:
    one = Process(engine)
    for _ in range(3):
        one.calls(ANSWER)
    assert one.known.take() == []
    one.calls(REFUSED)
    one.look()
    for _ in range(3):
        one.calls(REFUSED, after=LATER)
    assert one.known.take() == []


def test_changes_that_cannot_be_written_are_written_later(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Process(engine)
    one.calls(REFUSED)
    with monkeypatch.context() as broken:
        broken.setattr(engine.ctx.db, "transaction", lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            one.look()
    one.look()
    assert one.told == (NOW, CAUSE)
