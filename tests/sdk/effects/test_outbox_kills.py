"""Senders and relays of an outbox are killed between every two statements; and the command."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import inngest
import pytest
import requests
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from inngest_py.sdk import outbox
from tests.processes import ROOT, Process, Server, wait_until

COMMAND = [sys.executable, "-m", "inngest_py", "outbox-relay"]


@pytest.fixture(scope="module")
def events_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    options = ("--db", str(folder / "server.db"), "--no-discovery", "--no-poll")
    with Server("dev", *options, log=folder / "server.log") as server:
        yield server.start()


def received(server: Server, name: str) -> list[dict[str, Any]]:
    """The data of the events of a name, in the order in which the server got them."""
    query: dict[str, Any] = {"name": name, "limit": 50}
    reply = requests.get(f"{server.url}/v1/events", params=query, timeout=20)
    return [event["data"] for event in reversed(reply.json()["data"])]


@pytest.mark.parametrize("style", ["sqlalchemy", "async", "django"])
def test_events_are_there_once_and_in_order(url: str, style: str, events_server: Server) -> None:
    is_small = style == "sqlalchemy" or url.startswith("mysql")
    if not is_small and "INNGEST_KILLS" not in os.environ:
        pytest.skip("in full size alone: INNGEST_KILLS=1")
    command = [sys.executable, "-W", "ignore", "-m", "tests.sdk.effects.outbox_kills"]
    done = subprocess.run(
        [*command, url, events_server.url, style],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    points = {line["point"] for line in lines}
    assert {"after INSERT", "after UPDATE", "before POST", "after POST", "after DELETE"} <= points
    assert {"before COMMIT", "after COMMIT", "end", ""} <= points
    for line in lines:
        found = received(events_server, line["name"])
        assert line["rows"] == 0, line
        assert sorted(event["place"] for event in found) == [0, 1, 2, 3, 4] * line["effects"], line
        assert [event["place"] for event in found if event["key"] == "a"] == [0, 1, 4] * line[
            "effects"
        ], line
    assert {line["effects"] for line in lines} == {0, 1}


def test_command_sends_until_it_is_stopped(
    engine: Engine, events_server: Server, tmp_path: Path
) -> None:
    outbox.create_table(engine)
    shown = engine.url.render_as_string(hide_password=False)
    command = [*COMMAND, "--database-url", shown, "--url", events_server.url]
    name = f"command/{engine.name}"
    with Process([*command, "--event-key", "a-secret-key"], log=tmp_path / "relay.log") as relay:
        relay.start().wait_ready(lambda: "sending the events" in relay.log_tail())
        with Session(engine) as session, session.begin():
            for place in range(3):
                outbox.send(session, inngest.Event(name=name, data={"place": place}), key="a")
        wait_until(lambda: len(received(events_server, name)) == 3, 20, "the events")
        assert relay.terminate() == 0, relay.log_tail()
        assert "3 events were sent, 0 are parked" in relay.log_tail()
        assert "a-secret-key" not in relay.log.read_text()
    assert received(events_server, name) == [{"place": place} for place in range(3)]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("", "--database-url is missing"),
        ("--database-url x", "--database-url: must be a URL such as"),
        ("--database-url sqlite:////no/such/folder/x.db", "the database cannot be reached"),
        ("--database-url postgresql+asyncpg://x/y", "name a blocking driver"),
        ("--database-url sqlite://", "one in memory cannot be shared"),
        ("--database-url sqlite:///FOLDER/x.db", "the database has no table inngest_outbox"),
        ("--database-url sqlite:///FOLDER/x.db --url foo", "--url must be a server's"),
        ("--database-url sqlite:///FOLDER/x.db --keep x", "--keep: 'x' is not a duration"),
    ],
)
def test_bad_options(options: str, told: str, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from inngest_py.cli import cli

    given = options.replace("FOLDER", str(tmp_path)).split()
    found = CliRunner(env={"INNGEST_OUTBOX_DATABASE_URL": None}).invoke(
        cli, ["outbox-relay", *given]
    )
    assert found.exit_code != 0
    assert told in found.output
    assert "Traceback" not in found.output
