"""A dev server with a virtual clock, and functions of the Python SDK on Flask and FastAPI."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import inngest
import pytest
import requests
from click.testing import Result

from tests.command import command
from tests.processes import NotInTimeError, Server, wait_until

from . import serving
from .client import Api

# the SDK's own use of pydantic and of deprecated parts of asyncio warns
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
DAY = timedelta(days=1)
KEY = "signkey-test-0123456789abcdef0123456789abcdef"
_MADE: list[inngest.Inngest] = []  # kept: they have no way to close their connections
ARGS = ("--clock", "virtual", "--no-discovery", "--no-poll")


@dataclass
class App:
    """Functions served in this process, and what ran in them."""

    client: inngest.Inngest
    ran: list[str] = field(default_factory=list)
    hold: threading.Event = field(default_factory=threading.Event)
    held: threading.Event = field(default_factory=threading.Event)

    def blocking(self) -> list[inngest.Function[Any]]:
        """Make functions for Flask."""
        create = self.client.create_function

        @create(fn_id="days", trigger=inngest.TriggerEvent(event="days"))
        def days(ctx: inngest.ContextSync) -> str:
            for number in range(3):
                ctx.step.sleep(f"day {number}", DAY)
                ctx.step.run(f"work {number}", lambda: self.ran.append("work"))
            return "slept"

        @create(fn_id="waits", trigger=inngest.TriggerEvent(event="waits"))
        def waits(ctx: inngest.ContextSync) -> bool:
            found = ctx.step.wait_for_event("paid", event="paid", timeout=timedelta(hours=30))
            return found is None

        @create(fn_id="fails", trigger=inngest.TriggerEvent(event="fails"), retries=3)
        def fails(ctx: inngest.ContextSync) -> None:
            self.ran.append("fails")
            raise ValueError("always")

        @create(fn_id="hangs", trigger=inngest.TriggerEvent(event="hangs"))
        def hangs(ctx: inngest.ContextSync) -> None:
            ctx.step.sleep("first", timedelta(hours=1))
            self.held.set()
            self.hold.wait(30)

        @create(fn_id="hourly", trigger=inngest.TriggerCron(cron="0 * * * *"))
        def hourly(ctx: inngest.ContextSync) -> None:
            self.ran.append("hourly")

        return [days, waits, fails, hangs, hourly]

    def asynchronous(self) -> list[inngest.Function[Any]]:
        """Make functions for FastAPI."""
        create = self.client.create_function

        @create(fn_id="days", trigger=inngest.TriggerEvent(event="days"))
        async def days(ctx: inngest.Context) -> str:
            async def work() -> None:
                await asyncio.sleep(0)
                self.ran.append("work")

            for number in range(3):
                await ctx.step.sleep(f"day {number}", DAY)
                await ctx.step.run(f"work {number}", work)
            return "slept"

        @create(fn_id="tried", trigger=inngest.TriggerEvent(event="tried"), retries=3)
        async def tried(ctx: inngest.Context) -> int:
            self.ran.append("tried")
            if ctx.attempt == 0:
                raise inngest.RetryAfterError("not yet", timedelta(hours=20))
            if ctx.attempt < 3:
                raise ValueError("not yet")
            return ctx.attempt

        @create(fn_id="dated", trigger=inngest.TriggerEvent(event="dated"))
        async def dated(ctx: inngest.Context) -> None:
            await ctx.step.sleep_until("then", moment(str(ctx.event.data["at"])))

        return [days, tried, dated]


def client(url: str, **more: Any) -> inngest.Inngest:
    given = {"is_production": False, "event_key": "test", **more}
    made = inngest.Inngest(app_id="clock", api_base_url=url, event_api_base_url=url, **given)
    _MADE.append(made)
    return made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("clock")
    with Server("dev", *ARGS, "--in-memory", log=folder / "server.log").start() as server:
        yield server


def register(url: str) -> None:
    assert requests.put(f"{url}/api/inngest", timeout=10).status_code == 200


def clock(url: str, *args: str) -> Result:
    """Run `inngest-py clock`."""
    return command("clock", *args, "--url", url)


def post(server: Server, **body: object) -> dict[str, Any]:
    got = requests.post(f"{server.url}/dev/clock", json=body, timeout=20)
    assert got.status_code in (200, 202), got.text
    shown: dict[str, Any] = got.json()["data"]
    return shown


def shown(server: Server) -> dict[str, Any]:
    data: dict[str, Any] = requests.get(f"{server.url}/dev/clock", timeout=10).json()["data"]
    return data


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_days_pass_for_blocking_functions(server: Server) -> None:
    app, api = App(client(server.url)), Api(server.url)
    with serving.flask(app.client, app.blocking()) as url:
        register(url)
        before = moment(shown(server)["now"])
        events = [api.send(name) for name in ("days", "waits", "fails")]
        moved = clock(server.url, "advance", "73h")
        assert moved.exit_code == 0, moved.stderr
        assert moment(moved.stdout.strip()) - before >= timedelta(hours=73)
        days, waits, fails = (api.run(event) for event in events)
        assert (days["status"], days["output"]) == ("Completed", "slept")
        assert (waits["status"], waits["output"]) == ("Completed", True)
        assert fails["status"] == "Failed"
        assert app.ran.count("work") == 3
        assert app.ran.count("fails") == 4
        assert app.ran.count("hourly") == 73
        ended = moment(days["ended_at"])
        assert (
            timedelta(0) <= ended - moment(days["run_started_at"]) - 3 * DAY < timedelta(minutes=1)
        )


def test_days_pass_for_asynchronous_functions(server: Server) -> None:
    app, api = App(client(server.url)), Api(server.url)
    with serving.fastapi(app.client, app.asynchronous()) as url:
        register(url)
        events = [api.send(name) for name in ("days", "tried")]
        assert post(server, advance="3d")["moving_to"] is None
        assert [api.run(event)["output"] for event in events] == ["slept", 3]
        assert (app.ran.count("work"), app.ran.count("tried")) == (3, 4)
        tried = api.run(events[1])
        took = moment(tried["ended_at"]) - moment(tried["run_started_at"])
        assert timedelta(hours=20) <= took < timedelta(hours=21)


def test_a_date_is_that_date(server: Server) -> None:
    app, api = App(client(server.url)), Api(server.url)
    with serving.fastapi(app.client, app.asynchronous()) as url:
        register(url)
        at = moment(shown(server)["now"]).replace(minute=30, second=15, microsecond=0) + 40 * DAY
        event = api.send("dated", {"at": at.isoformat()})
        wait_until(lambda: shown(server)["next_at"], 10, "the run sleeps")
        post(server, to=(at - timedelta(minutes=1)).isoformat())
        assert api.runs(event)[0]["status"] == "Running"
        post(server, advance="61s")
        assert moment(api.run(event)["ended_at"]) - at < timedelta(seconds=1)


def test_next_jumps_to_what_is_due(server: Server) -> None:
    app, api = App(client(server.url)), Api(server.url)
    with serving.fastapi(app.client, app.asynchronous()) as url:
        register(url)
        post(server, freeze=True)
        event = api.send("days")
        wait_until(lambda: shown(server)["next_at"], 10, "the run sleeps")
        for _ in range(3):
            assert clock(server.url, "next").exit_code == 0
        assert api.run(event)["output"] == "slept"
        assert not shown(server)["next_at"]
        refused = clock(server.url, "next")
        assert (refused.exit_code, "nothing is due later" in refused.stderr) == (1, True)
        post(server, resume=True)


def test_an_event_of_a_frozen_clock_starts_at_once(server: Server) -> None:
    """The SDK's own client sends the real time as `ts`."""
    app, api = App(client(server.url)), Api(server.url)
    with serving.fastapi(app.client, app.asynchronous()) as url:
        register(url)
        stood = moment(post(server, freeze=True)["now"])
        ts = int(datetime.now(UTC).timestamp() * 1000)
        [sent] = app.client.send_sync(inngest.Event(name="tried", ts=ts))
        wait_until(lambda: app.ran == ["tried"], 10, "the run began")
        post(server, advance="1d")
        run = api.run(sent)
        assert (run["output"], moment(run["run_started_at"])) == (3, stood)
        post(server, resume=True)


def test_a_move_waits_for_calls_and_can_be_stopped(server: Server) -> None:
    app, api = App(client(server.url)), Api(server.url)
    with serving.flask(app.client, app.blocking()) as url:
        register(url)
        event = api.send("hangs")
        wait_until(lambda: shown(server)["next_at"], 10, "the run sleeps")
        target = moment(shown(server)["now"]) + timedelta(hours=5)
        moving = threading.Thread(target=lambda: post(server, to=target.isoformat()))
        moving.start()
        assert app.held.wait(10)
        wait_until(lambda: shown(server)["waits_for"], 10, "the clock says what it waits for")
        seen = shown(server)
        assert (moment(seen["moving_to"]), seen["frozen"]) == (target, False)
        assert moment(seen["now"]) < target - timedelta(hours=3)
        twice = requests.post(f"{server.url}/dev/clock", json={"advance": "1h"}, timeout=10)
        assert (twice.status_code, "is moving to" in twice.text) == (409, True)
        stood = post(server, freeze=True)
        assert (stood["frozen"], stood["moving_to"], stood["now"]) == (True, None, seen["now"])
        app.hold.set()
        moving.join(10)
        assert api.run(event)["status"] == "Completed"
        post(server, resume=True)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"advance": "-1d"}, "cannot go back"),
        ({"to": "2020-01-01T00:00:00Z"}, "cannot go back"),
        ({"advance": "500d"}, "--yes"),
        ({"to": "2099-01-01T00:00:00Z", "yes": True}, "at most"),
        ({"advance": "soon"}, "write it like 90s"),
        ({"advance": 3}, 'give a duration as text, as in {\\"advance\\": \\"3d\\"}'),
        ({"to": "soon"}, "write it like 2024"),
        ({}, "give one of advance, to"),
        ({"next": True, "freeze": True}, "give one of advance, to"),
        ({"next": False}, "next"),
    ],
)
def test_bad_commands_move_nothing(server: Server, body: dict[str, object], told: str) -> None:
    before = post(server, freeze=True)["now"]
    got = requests.post(f"{server.url}/dev/clock", json=body, timeout=10)
    assert (got.status_code, told in got.text) == (400, True), got.text
    assert shown(server)["now"] == before
    post(server, resume=True)


def test_signed_requests_have_the_real_time(tmp_path: Path) -> None:
    """The SDK refuses signatures that are older than five minutes."""
    args = (*ARGS, "--in-memory", "--signing-key", KEY, "--event-key", "test")
    with Server("dev", *args, log=tmp_path / "server.log").start() as server:
        signed = client(server.url, is_production=True, signing_key=KEY)
        app, api = App(signed), Api(server.url)
        with serving.fastapi(app.client, app.asynchronous()) as url:
            register(url)
            post(server, advance="30d")
            event = api.send("days")
            post(server, advance="3d")
            assert api.run(event)["output"] == "slept"


def test_the_clock_belongs_to_its_database(tmp_path: Path) -> None:
    """A restart finds it, and no server with the real time takes the database."""
    db = ("--db", str(tmp_path / "x.db"))
    with Server("dev", *ARGS, *db, log=tmp_path / "server.log").start() as server:
        moved = moment(post(server, advance="9d")["now"])
        post(server, freeze=True)
        second = Server("dev", *ARGS, *db, log=tmp_path / "second.log")
        assert refusal(second) and "another server works on this database" in second.log_tail()
    plain = Server("dev", "--no-discovery", *db, log=tmp_path / "plain.log")
    assert refusal(plain) and "dev --clock virtual" in plain.log_tail()
    with Server("dev", *ARGS, *db, log=tmp_path / "again.log").start() as server:
        seen = shown(server)
        assert (seen["frozen"], moment(seen["now"]) >= moved) == (True, True)


def refusal(server: Server) -> bool:
    """Say whether a server ends by itself, with an error."""
    with pytest.raises(NotInTimeError, match="ended with 1"):
        server.start()
    return True


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("--database-url", "postgresql://u@localhost/x"), "alone on its database"),
        (("--redis-url", "redis://localhost:1/0", "--in-memory"), "alone on its database"),
    ],
)
def test_what_others_share_has_the_real_time(args: tuple[str, ...], told: str) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "inngest_py", "dev", "--clock", "virtual", *args],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert found.returncode != 0
    assert told in found.stderr


def test_production_servers_have_no_virtual_clock(tmp_path: Path) -> None:
    keys = ("--signing-key", KEY, "--event-key", "test")
    start = [sys.executable, "-m", "inngest_py", "start", *keys, "--database-url"]
    url = f"sqlite:///{tmp_path / 'x.db'}"
    found = subprocess.run(
        [*start, url],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "INNGEST_CLOCK": "virtual"},
    )
    assert (found.returncode != 0, "dev servers only" in found.stderr) == (True, True)
    with Server("dev", "--no-discovery", "--in-memory", log=tmp_path / "log").start() as server:
        told = clock(server.url, "advance", "1d")
        assert (told.exit_code, "--clock virtual" in told.stderr) == (1, True)
