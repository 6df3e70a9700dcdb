"""Alerts, on both databases: what fires, how often, and what each receiver gets."""

import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from inngest_py.domain.reports.alerts import AlertRules
from inngest_py.engine.admin import alerts
from inngest_py.engine.transport.http import Transport
from inngest_py.engine.work import run_item
from inngest_py.storage.db.session import Database
from tests.engine.flow import rows, together
from tests.engine.harness import Engine
from tests.factories import reply
from tests.provider import Answer, Provider, Received

RULES = AlertRules(failure_rate=0.5, least_runs=2, backlog=timedelta(minutes=5))


class Watched:
    """An engine whose functions fail as the test says, and a receiver of alerts."""

    def __init__(self, db: Database, provider: Provider) -> None:
        self.fails = True
        self.engine = Engine(db, self._script, retries=0)
        self.received: list[dict[str, Any]] = []
        self.status = 200
        self.provider = provider
        provider.script = self._answer
        self.transport = Transport()
        self.rules = AlertRules(**{**_fields(RULES), "urls": (f"{provider.url}/hook/s3cret",)})

    def _script(self, *_: Any) -> Any:
        return reply(500, {"message": "no"}) if self.fails else reply(200, None)

    def _answer(self, request: Received) -> Answer:
        self.received.append(json.loads(request.body))
        return Answer(self.status)

    def run(self, count: int = 2, *, fails: bool = True) -> None:
        self.fails = fails
        for _ in range(count):
            self.engine.start()
        self.engine.drain()

    def look(self, **later: float) -> list[tuple[str, str]]:
        """Check and send alerts some time later; return what has been received since."""
        self.engine.now += timedelta(**later or {"seconds": 15})
        self.received.clear()
        alerts.queue_messages(self.engine.ctx, self.rules)
        alerts.send(self.engine.ctx, self.rules, self.transport)
        return [(one["alert"], one["state"]) for one in self.received]


def _fields(rules: AlertRules) -> dict[str, Any]:
    return {name: getattr(rules, name) for name in AlertRules.__slots__}


@pytest.fixture
def watched(db: Database) -> Iterator[Watched]:
    with Provider() as provider:
        made = Watched(db, provider)
        yield made
        made.transport.close()


def test_failing_function_alerts_once_and_once_more_when_it_is_over(watched: Watched) -> None:
    watched.run(2, fails=False)
    assert watched.look() == []
    watched.run(2)
    assert watched.look() == [("failures", "firing")]
    told = watched.received[0]
    assert told["text"] == "🔴 app-fn: 2 of 4 runs (50%) failed within 15 min"
    assert (told["function"], told["failed"], told["runs"]) == ("app-fn", 2, 4)
    assert watched.look(minutes=1) == []
    watched.run(1, fails=False)
    assert watched.look(minutes=1) == [("failures", "resolved")]
    assert watched.received[0]["text"].startswith("🟢 resolved: app-fn")
    assert watched.look() == []


def test_few_runs_and_old_ones_do_not_count(watched: Watched) -> None:
    watched.run(1)
    assert watched.look() == []
    watched.engine.now += timedelta(minutes=20)
    watched.run(1)
    assert watched.look() == []


def test_alert_is_repeated_after_the_quiet_time_but_not_within_it(watched: Watched) -> None:
    watched.run()
    assert watched.look() == [("failures", "firing")]
    watched.run(3, fails=False)
    assert watched.look() == [("failures", "resolved")]
    watched.run(9)  # flapping
    assert watched.look(minutes=1) == []
    watched.run(3, fails=False)
    watched.engine.now += timedelta(minutes=58)
    watched.run(2)
    assert watched.look(minutes=1) == [("failures", "firing")]
    watched.engine.now += timedelta(minutes=59)
    watched.run(2)
    assert watched.look(minutes=2) == [("failures", "firing")]


def test_backlog_that_grows_old_alerts_and_is_resolved(watched: Watched) -> None:
    watched.engine.start()
    assert watched.look(minutes=4) == []
    assert watched.look(minutes=2) == [("backlog", "firing")]
    assert watched.received[0]["oldest_seconds"] == 360
    assert "due for 6 min" in watched.received[0]["text"]
    watched.engine.drain()
    assert watched.look() == [("backlog", "resolved")]


def test_every_receiver_gets_an_alert_once_from_many_workers(watched: Watched) -> None:
    watched.rules = AlertRules(
        **{**_fields(watched.rules), "urls": tuple(f"{watched.provider.url}/{n}" for n in "ab")}
    )
    watched.run()

    def work(_: int) -> None:
        alerts.queue_messages(watched.engine.ctx, watched.rules)
        alerts.send(watched.engine.ctx, watched.rules, watched.transport)

    together(8, work)
    alerts.send(watched.engine.ctx, watched.rules, watched.transport)
    assert [(one["alert"], one["state"]) for one in watched.received] == [
        ("failures", "firing"),
        ("failures", "firing"),
    ]


def test_a_receiver_that_is_away_is_tried_again_later(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "inngest_py")
    watched.run()
    watched.status = 503
    assert len(watched.look()) == 1
    assert watched.look(seconds=5) == []
    assert len(watched.look(seconds=10)) == 1
    watched.status = 200
    assert len(watched.look(seconds=30)) == 1
    assert rows(watched.engine.ctx.db, "SELECT id FROM alert_messages") == []
    told = [record for record in caplog.records if record.msg == "alert.not_sent"]
    assert [record.fields["error"] for record in told] == ["status 503"] * 2
    assert "s3cret" not in str([vars(record) for record in caplog.records])


def test_message_is_given_up_at_last_and_delays_no_run(watched: Watched) -> None:
    watched.run()
    watched.status = 500
    tried = len(watched.look()) + sum(len(watched.look(hours=1)) for _ in range(20))
    assert rows(watched.engine.ctx.db, "SELECT id FROM alert_messages") == []
    # two alerts: the second says that the first is over
    assert tried == 24
    run_id = watched.engine.start()
    run_item.work(watched.engine.ctx, [watched.engine.hinted.hints[0][1]])
    assert watched.engine.run(run_id)["status"] == "failed"


def test_no_url_is_stored_or_sent_to_others(watched: Watched) -> None:
    watched.run()
    watched.status = 500
    watched.look()
    for table in ("alerts", "alert_messages"):
        assert "s3cret" not in str(rows(watched.engine.ctx.db, f"SELECT * FROM {table}"))
    assert "s3cret" not in repr(watched.rules)


@pytest.mark.parametrize("shape", ["slack+{}", "{}"])
def test_slack_gets_its_text_alone(watched: Watched, shape: str) -> None:
    url = shape.format(watched.provider.url)
    watched.rules = AlertRules(**{**_fields(watched.rules), "urls": (url,)})
    watched.run()
    watched.engine.now += timedelta(seconds=15)
    alerts.queue_messages(watched.engine.ctx, watched.rules)
    alerts.send(watched.engine.ctx, watched.rules, watched.transport)
    assert (watched.received[0].keys() == {"text"}) is url.startswith("slack")


def test_thresholds_may_be_off(watched: Watched) -> None:
    watched.rules = AlertRules(**{**_fields(watched.rules), "failure_rate": None, "backlog": None})
    watched.run()
    watched.engine.start()
    assert watched.look(minutes=10) == []
