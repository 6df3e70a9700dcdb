"""Alerts, on both databases: what fires, how often, and what each receiver gets."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from inngest_py.domain.alerts.rules import AlertKind, AlertRules
from inngest_py.domain.reports.error_groups import ErrorState
from inngest_py.engine.admin import error_states
from inngest_py.engine.runtime.audit import Actor
from inngest_py.engine.upkeep.errors import grouping
from inngest_py.engine.work import run_item
from inngest_py.storage.catalog import apps_down, crons
from inngest_py.storage.catalog.functions import App, FunctionRow
from inngest_py.storage.db.session import Database
from tests.engine.flow import rows, together
from tests.engine.watched import Watched, fields_of
from tests.provider import Provider


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
        **{**fields_of(watched.rules), "urls": tuple(f"{watched.provider.url}/{n}" for n in "ab")}
    )
    watched.run()

    def work(_: int) -> None:
        watched.queue()
        watched.send()

    together(8, work)
    watched.send()
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
    assert [record.fields["error"] for record in told] == ["it answered with status 503"] * 2
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
    watched.rules = replace(watched.rules, urls=(url,))
    watched.run()
    watched.engine.now += timedelta(seconds=15)
    watched.queue()
    watched.send()
    assert (watched.received[0].keys() == {"text"}) is url.startswith("slack")


def test_thresholds_may_be_off(watched: Watched) -> None:
    watched.rules = AlertRules(
        **{**fields_of(watched.rules), "failure_rate": None, "backlog": None}
    )
    watched.run()
    watched.engine.start()
    assert watched.look(minutes=10) == []


def test_an_app_that_is_down_is_told_after_a_while(watched: Watched) -> None:
    ctx = watched.engine.ctx
    with ctx.db.transaction() as tx:
        [app_id] = [row[0] for row in tx.execute(select(App.id))]
        apps_down.mark(tx, app_id, watched.engine.now, "connection refused")
    assert watched.look() == []
    assert watched.look() == [("app_down", "firing")]
    assert watched.received[0]["cause"] == "connection refused"
    assert "has not been reached since" in watched.received[0]["text"]
    with ctx.db.transaction() as tx:
        apps_down.clear(tx, app_id, watched.engine.now)
    assert watched.look() == [("app_down", "resolved")]


def test_a_queue_that_is_not_drained_is_told_before_it_is_old(watched: Watched) -> None:
    watched.fails = False
    watched.rules = replace(watched.rules, backlog=None)
    for _ in range(120):
        watched.engine.start()
    seen = [one for _ in range(13) for one in watched.look()]
    assert seen == [("growing_backlog", "firing")]
    told = watched.received[0] if watched.received else None
    assert told is None or "will not be drained" in told["text"]
    watched.engine.drain()
    assert watched.look() == [("growing_backlog", "resolved")]


def test_a_missed_tick_is_told_once(watched: Watched) -> None:
    ctx = watched.engine.ctx
    with ctx.db.transaction() as tx:
        [function_id] = [row[0] for row in tx.execute(select(FunctionRow.id))]
        crons.add(tx, [((function_id, "*/5 * * * *"), watched.engine.now)])
        crons.note_missed(tx, (function_id, "*/5 * * * *"), watched.engine.now, watched.engine.now)
    assert watched.look() == [("missed_tick", "firing")]
    assert "the cron */5 * * * * missed its tick of" in watched.received[0]["text"]
    assert [one for _ in range(9) for one in watched.look(minutes=10)] == []


def test_only_the_kinds_of_the_settings_are_looked_for(watched: Watched) -> None:
    watched.rules = replace(watched.rules, kinds=frozenset({AlertKind.BACKLOG}))
    watched.run()
    assert watched.look() == []
    watched.engine.start()
    assert watched.look(minutes=6) == [("backlog", "firing")]


def test_a_new_error_and_its_return_are_told_once(watched: Watched) -> None:
    ctx = watched.engine.ctx
    watched.rules = replace(watched.rules, kinds=frozenset({AlertKind.NEW_ERROR}))
    watched.run()
    grouping.group(ctx)
    assert watched.look() == [("new_error", "firing")]
    told = watched.received[0]
    assert told["text"].startswith("🔴 A new error in app-fn: ")
    assert told["regression"] is False
    watched.run()
    grouping.group(ctx)
    assert watched.look() == []
    error_states.change(ctx, told["error"], ErrorState.RESOLVED, Actor("me"))
    watched.engine.now += timedelta(minutes=5)
    watched.run(1)
    grouping.group(ctx)
    assert watched.look() == [("new_error", "firing")]
    assert watched.received[0]["text"].startswith("🔴 An error is back in app-fn: ")
    assert [one for _ in range(4) for one in watched.look(minutes=20)] == []
