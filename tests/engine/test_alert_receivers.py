"""Receivers of alerts that people add, on both databases: what each gets, and how it went."""

import socketserver
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import ClassVar

import pytest

from inngest_py.domain.alerts.messages import Mail
from inngest_py.engine.alerts import mail, receivers
from inngest_py.engine.alerts.receivers import Given
from inngest_py.storage.db.session import Database
from tests.engine.flow import rows
from tests.engine.watched import Watched
from tests.processes import LOOPBACK
from tests.provider import Provider


@pytest.fixture
def watched(db: Database) -> Iterator[Watched]:
    with Provider() as provider:
        made = Watched(db, provider)
        yield made
        made.transport.close()


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
