"""Alerts, on both databases: what fires, how often, and what each receiver gets."""

import json
import logging
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from sqlalchemy import select

from inngest_py.domain.alerts.messages import Mail
from inngest_py.domain.alerts.receivers import Receiver
from inngest_py.domain.alerts.rules import AlertKind, AlertRules
from inngest_py.domain.reports.error_groups import ErrorState
from inngest_py.engine.admin import error_states
from inngest_py.engine.alerts import mail, receivers, send, watch
from inngest_py.engine.alerts.receivers import Given
from inngest_py.engine.runtime.audit import Actor
from inngest_py.engine.transport.http import Transport
from inngest_py.engine.upkeep.errors import grouping
from inngest_py.engine.work import run_item
from inngest_py.storage.catalog import apps_down, crons
from inngest_py.storage.catalog.functions import App, FunctionRow
from inngest_py.storage.db.session import Database
from tests.engine.flow import rows, together
from tests.engine.harness import Engine
from tests.factories import reply
from tests.processes import LOOPBACK
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
        self.queue()
        self.send()
        return [(one["alert"], one["state"]) for one in self.received]

    def receivers(self) -> list[Receiver]:
        return receivers.known(self.engine.ctx, self.rules)

    def queue(self) -> None:
        watch.queue_messages(self.engine.ctx, self.rules, self.receivers())

    def send(self) -> None:
        send.send_due(self.engine.ctx, self.rules, self.receivers(), self.transport)


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
    watched.rules = AlertRules(**{**_fields(watched.rules), "urls": (url,)})
    watched.run()
    watched.engine.now += timedelta(seconds=15)
    watched.queue()
    watched.send()
    assert (watched.received[0].keys() == {"text"}) is url.startswith("slack")


def test_thresholds_may_be_off(watched: Watched) -> None:
    watched.rules = AlertRules(**{**_fields(watched.rules), "failure_rate": None, "backlog": None})
    watched.run()
    watched.engine.start()
    assert watched.look(minutes=10) == []


class Mailbox(socketserver.StreamRequestHandler):
    """An SMTP server that accepts one message, without encryption."""

    seen: ClassVar[list[str]] = []

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        in_data = False
        for raw in self.rfile:
            line = raw.decode().rstrip()
            self.seen.append(line)
            if in_data:
                in_data = line != "."
                if in_data:
                    continue
            answer = {"EHLO": "250 here", "DATA": "354 go on", "QUIT": "221 bye"}
            verb = line[:4].upper()
            in_data = verb == "DATA"
            self.wfile.write(f"{answer.get(verb, '250 ok')}\r\n".encode())
            if verb == "QUIT":
                return


@pytest.fixture
def mailbox() -> Iterator[tuple[str, list[str]]]:
    """A mail server: its URL, and the lines that it has read."""
    Mailbox.seen.clear()
    with socketserver.ThreadingTCPServer((LOOPBACK, 0), Mailbox) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"smtp://{LOOPBACK}:{server.server_address[1]}", Mailbox.seen
        server.shutdown()


def add(watched: Watched, kind: str, target: str, *kinds: str) -> str:
    return receivers.add(watched.engine.ctx, Given(f"my {kind}", kind, target, kinds))


def test_receivers_that_people_add_get_the_kinds_that_they_want(watched: Watched) -> None:
    hook = f"{watched.provider.url}/added/s3cret"
    add(watched, "webhook", hook, "backlog")
    add(watched, "slack", hook)
    key = "0123456789abcdef0123456789ABCDEF"
    add(watched, "pagerduty", f"{watched.provider.url}/v2/enqueue#{key}")
    watched.rules = replace(watched.rules, urls=(), dashboard_url="https://ops.example/inngest/")
    watched.run()
    watched.engine.now += timedelta(seconds=15)
    watched.queue()
    watched.send()
    by_shape = {tuple(sorted(one)): one for one in watched.received}
    assert len(watched.received) == 2  # the webhook wants the backlog alone
    [function_id] = {row[0] for row in rows(watched.engine.ctx.db, "SELECT function_id FROM runs")}
    link = f"https://ops.example/inngest/functions/{function_id}"
    text = "🔴 app-fn: 2 of 2 runs (100%) failed within 15 min"
    assert by_shape[("text",)] == {"text": f"{text}\n{link}"}
    event = next(one for shape, one in by_shape.items() if "routing_key" in shape)
    assert (event["routing_key"], event["event_action"]) == (key, "trigger")
    assert event["payload"]["summary"] == text
    assert event["links"] == [{"href": link, "text": "Open the dashboard"}]
    watched.run(3, fails=False)
    watched.engine.now += timedelta(seconds=15)
    watched.received.clear()
    watched.queue()
    watched.send()
    [over] = [one for one in watched.received if "routing_key" in one]
    assert (over["event_action"], over["dedup_key"]) == ("resolve", event["dedup_key"])


def test_mail_is_sent_with_its_link(watched: Watched, mailbox: tuple[str, list[str]]) -> None:
    url, lines = mailbox
    watched.rules = replace(
        watched.rules,
        urls=(),
        smtp_url=url,
        smtp_from="inngest@example.com",
        dashboard_url="http://d",
    )
    watched.engine.ctx = replace(
        watched.engine.ctx, tuning=replace(watched.engine.ctx.tuning, alerts=watched.rules)
    )
    receiver_id = add(watched, "email", "a@example.com, b@example.com")
    assert receivers.test(watched.engine.ctx, receiver_id) is None
    text = "\n".join(lines)
    assert "rcpt TO:<a@example.com>" in text
    assert "rcpt TO:<b@example.com>" in text
    assert "http://d/alerts" in text
    assert "This is a test of alerts" in text


def test_a_password_is_not_sent_without_encryption(
    watched: Watched, mailbox: tuple[str, list[str]]
) -> None:
    url = mailbox[0].replace("smtp://", "smtp://me:s3cret@")
    told = mail.send(url, "a@example.com", Mail(["b@example.com"], "s", "t"), timedelta(seconds=9))
    assert told == "the mail server cannot be used: it offers no encryption for the password"
    assert "s3cret" not in str(mailbox[1])


def test_the_last_message_to_a_receiver_is_shown(watched: Watched) -> None:
    receiver_id = add(watched, "webhook", f"{watched.provider.url}/added")
    watched.status = 404
    told = receivers.test(watched.engine.ctx, receiver_id)
    assert told == "it answered with status 404"
    with watched.engine.ctx.db.reading() as tx:
        assert receivers.get(tx, receiver_id)["error"] == told
    watched.status = 204
    assert receivers.test(watched.engine.ctx, receiver_id) is None
    with watched.engine.ctx.db.reading() as tx:
        row = receivers.get(tx, receiver_id)
    assert (row["error"], row["failed_at"]) == (None, None)
    assert row["sent_at"] is not None
    assert watched.received[-1]["test"] is True
    assert watched.received[-1]["state"] == "resolved"


def test_a_receiver_that_is_removed_gets_nothing_more(watched: Watched) -> None:
    watched.rules = replace(watched.rules, urls=())
    receiver_id = add(watched, "webhook", f"{watched.provider.url}/added")
    watched.run()
    watched.queue()
    receivers.remove(watched.engine.ctx, receiver_id)
    watched.send()
    assert watched.received == []
    assert rows(watched.engine.ctx.db, "SELECT id FROM alert_messages") == []


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
