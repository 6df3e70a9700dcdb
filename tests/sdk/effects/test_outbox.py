"""The outbox: events of committed transactions are sent, in order by key, whatever goes wrong."""

import asyncio
import logging
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import inngest
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, sessionmaker

from inngest_py.sdk import outbox
from inngest_py.sdk.outbox import claims, relay
from tests.processes import wait_until

from .killing import async_engine_of
from .receiver import Answer, Receiver, Request, accept


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "_FIRST_DELAY", 0.01)


@pytest.fixture
def database(engine: Engine) -> Engine:
    outbox.create_table(engine)
    outbox.create_table(engine)
    return engine


def client(receiver: Receiver, **options: Any) -> inngest.Inngest:
    url = receiver.url
    options = {"is_production": False, "event_api_base_url": url} | options
    return inngest.Inngest(app_id="tests", **options)


def event(n: int, key: str | None = None, **more: Any) -> inngest.Event:
    return inngest.Event(name="shop/sold", data={"n": n, "key": key}, **more)


def write(engine: Engine, *numbers: int, key: str | None = None) -> list[str]:
    with Session(engine) as session, session.begin():
        found = outbox.send(session, [event(n, key) for n in numbers], key=key)
    assert isinstance(found, list)
    return found


def drain(engine: Engine, timeout: float = 20.0) -> None:
    def is_empty() -> bool:
        found = outbox.status(engine)
        assert isinstance(found, outbox.Status)
        return found.waiting == 0

    wait_until(is_empty, timeout, "the outbox is empty")


def test_commit_sends_and_rollback_does_not(database: Engine, receiver: Receiver) -> None:
    with outbox.Relay(sessionmaker(database), client(receiver, env="branch")) as running:
        with Session(database) as session:
            outbox.send(session, event(1))
            session.rollback()
            kept = outbox.send(session, [event(2, id="my-id", ts=1_700_000_000_000), event(3)])
            session.commit()
        with database.begin() as connection:
            kept += outbox.send(connection, event(4))
        with database.connect() as connection:
            outbox.send(connection, event(5))
        drain(database)
        assert sorted(receiver.places()) == [2, 3, 4]
        assert sorted(one["id"] for one in receiver.accepted) == sorted(kept)
        first = next(one for one in receiver.accepted if one["id"] == "my-id")
        assert first["ts"] == 1_700_000_000_000
        assert all(one["ts"] for one in receiver.accepted)
        assert receiver.requests[0].path == "/e/NO_EVENT_KEY_SET"
    assert running.sent == 3


def test_commit_wakes_the_relay_of_its_process(database: Engine, receiver: Receiver) -> None:
    with outbox.Relay(database, client(receiver), poll=timedelta(hours=1)):
        wait_until(lambda: True)
        waits = []
        for n in range(5):
            if n % 2:
                write(database, n)
            else:
                with database.begin() as connection:
                    outbox.send(connection, event(n))
            since = time.monotonic()
            wait_until(lambda n=n: n in receiver.places(), 10, f"event {n}")
            waits.append(time.monotonic() - since)
    assert sorted(waits)[2] < 2  # some ten milliseconds on a machine of one's own


def test_request_is_repeated_as_it_was(database: Engine, receiver: Receiver) -> None:
    answers: list[Any] = [None, (503, [], "away"), (401, [], "no key")]

    def away(request: Request) -> Answer:
        return answers.pop(0) if answers else accept(request)

    receiver.rule = away
    write(database, 1, 2, key="a")
    with outbox.Relay(database, client(receiver)):
        wait_until(lambda: receiver.requests, 10, "a request")
        write(database, 3, key="a")
        drain(database)
    seeds = [request.seed for request in receiver.requests]
    assert len(set(seeds[:4])) == 1
    bodies = [request.events for request in receiver.requests[:4]]
    assert all(body == bodies[0] for body in bodies)
    assert receiver.places() == [1, 2, 3]


def test_event_that_breaks_the_server_holds_back_its_key_alone(
    database: Engine, receiver: Receiver
) -> None:
    good = []

    def breaks(request: Request) -> Answer:
        if not good and any(one["data"]["n"] == 1 for one in request.events):
            return 500, [], "internal error"
        return accept(request)

    receiver.rule = breaks
    write(database, 1, 2, key="a")
    write(database, 3, 4, key="b")
    write(database, 5)
    with outbox.Relay(database, client(receiver)):
        wait_until(lambda: len(receiver.accepted) == 3, 20, "the other keys")
        assert receiver.places("b") == [3, 4]
        assert receiver.places("a") == []
        good.append(True)
        drain(database)
    assert receiver.places("a") == [1, 2]


def test_a_relay_says_what_it_has_sent_and_what_waits_for_long(
    database: Engine,
    receiver: Receiver,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay, "_REPORT_SECONDS", 0.05)
    caplog.set_level(logging.INFO, "inngest_py.outbox")

    def said(level: int, text: str) -> bool:
        return any(one.levelno == level and text in one.getMessage() for one in caplog.records)

    with outbox.Relay(database, client(receiver)):
        write(database, 1, 2)
        wait_until(lambda: said(logging.INFO, "2 events were sent, 0 wait"), 10, "what was sent")
        receiver.rule = lambda _: (503, [], "away")
        write(database, 3)
        late = "0 events were sent, 1 wait, the oldest for "
        wait_until(lambda: said(logging.WARNING, late), 10, "what waits")


def test_refused_event_is_parked_and_later_ones_go_on(
    database: Engine, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    def refuses(request: Request) -> Answer:
        numbers = [one["data"]["n"] for one in request.events]
        if 2 not in numbers:
            return accept(request)
        accepted = [one["id"] for one in request.events[: numbers.index(2)]]
        return 400, accepted or [""], "event data is bad"

    receiver.rule = refuses
    write(database, 1, 2, 3, key="a")
    with outbox.Relay(database, client(receiver)) as running:
        drain(database)
        assert receiver.places() == [1, 3]
        [bad] = outbox.parked(database)
        assert (bad.key, bad.event["data"]) == ("a", {"n": 2, "key": "a"})
        assert bad.error == "HTTP 400: event data is bad"
        assert outbox.status(database).parked == running.parked == 1
        assert "is parked: HTTP 400: event data is bad" in caplog.text
        receiver.rule = accept
        assert outbox.retry_parked(database, [bad.id]) == 1
        drain(database)
    assert receiver.places() == [1, 3, 2]
    assert outbox.discard_parked(database, [bad.id]) == 0


def test_requests_that_are_too_large_are_split(database: Engine, receiver: Receiver) -> None:
    def small(request: Request) -> Answer:
        if len(request.events) > 1 or request.events[0]["data"]["n"] == 2:
            return 413, [], "too large"
        return accept(request)

    receiver.rule = small
    write(database, 1, 2, 3, key="a")
    with outbox.Relay(database, client(receiver)):
        drain(database)
    assert receiver.places() == [1, 3]
    assert [one.event["data"]["n"] for one in outbox.parked(database)] == [2]


def test_several_relays_share_the_work(database: Engine, receiver: Receiver) -> None:
    keys = [f"key {n}" for n in range(6)]
    for start in range(0, 240, 20):
        with Session(database) as session, session.begin():
            for n in range(start, start + 20):
                outbox.send(session, event(n, keys[n % 6]), key=keys[n % 6])
    relays = [outbox.Relay(database, client(receiver)).start() for _ in range(3)]
    for n in range(240, 300):
        write(database, n, key=keys[n % 6])
    drain(database, 40)
    assert [one.stop() for one in relays] == [True] * 3
    for place, key in enumerate(keys):
        assert receiver.places(key) == list(range(place, 300, 6)), key
    assert sum(one.sent for one in relays) == 300


def test_sent_rows_are_kept_for_a_time(database: Engine, receiver: Receiver) -> None:
    write(database, 1)
    with outbox.Relay(database, client(receiver), keep=timedelta(days=1)):
        drain(database)
    count = text("SELECT COUNT(*) FROM inngest_outbox WHERE state = 'sent'")
    with database.connect() as connection:
        assert connection.scalar(count) == 1
    with database.begin() as connection:
        connection.execute(text("UPDATE inngest_outbox SET due_at = due_at - 172800000"))
    write(database, 2)
    with outbox.Relay(database, client(receiver), keep=timedelta(days=1)):
        drain(database)

        def swept() -> bool:
            with database.connect() as connection:
                return connection.scalar(count) == 1

        wait_until(swept, 10, "the old row is gone")


def test_relay_outlives_a_missing_table(
    engine: Engine, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    with outbox.Relay(engine, client(receiver)):
        wait_until(lambda: "has no table inngest_outbox: call" in caplog.text, 10, "the error")
        outbox.create_table(engine)
        write(engine, 1)
        drain(engine)
    assert receiver.places() == [1]


def test_async_session_and_engine(url: str, receiver: Receiver) -> None:
    async def go() -> None:
        engine = async_engine_of(url)
        await outbox.create_table(engine)
        running = outbox.Relay(engine, client(receiver)).start()
        async with AsyncSession(engine) as session, session.begin():
            await outbox.send(session, event(1), key="a")
        async with engine.begin() as connection:
            await outbox.send(connection, event(2), key="a")
        async with AsyncSession(engine) as session:
            await outbox.send(session, event(3), key="a")
        while (await outbox.status(engine)).waiting:
            await asyncio.sleep(0.02)
        assert await outbox.parked(engine) == []
        assert await asyncio.to_thread(running.stop)
        await engine.dispose()

    asyncio.run(asyncio.wait_for(go(), 40))
    assert receiver.places() == [1, 2]


def test_arguments_are_checked(tmp_path: Path, receiver: Receiver) -> None:
    from sqlalchemy import create_engine

    engine = create_engine(f"sqlite:///{tmp_path}/app.db")
    outbox.create_table(engine)
    wrong: list[tuple[Any, Any, str | None, str]] = [
        (engine, event(1), None, "session: must be the session or connection"),
        (3, event(1), None, "session: must be"),
        (None, {"name": "a"}, None, "events: must be inngest.Event"),
        (None, inngest.Event(name=""), None, "events: an event has no name"),
        (None, inngest.Event(name="inngest/x"), None, "are the server's own"),
        (None, inngest.Event(name="a", id="x" * 3000), None, "more than 2048 bytes"),
        (None, inngest.Event(name="a", data={"x": "y" * 2**22}), None, "put the data elsewhere"),
        (None, inngest.Event(name="a", data={"x": float("nan")}), None, "data.x is nan"),
        (None, event(1), "", "key: must be text of 1 to 255 characters"),
        (None, event(1), "k" * 256, "key: must be text of 1 to 255 characters"),
    ]
    with Session(engine) as session:
        for target, events, key, told in wrong:
            with pytest.raises((TypeError, ValueError), match=told):
                outbox.send(session if target is None else target, events, key=key)
        session.commit()
    assert outbox.status(engine) == outbox.Status(0, 0.0, 0)
    with pytest.raises(ValueError, match="client: it has no event key: set INNGEST_EVENT_KEY"):
        outbox.Relay(engine, client(receiver, is_production=True))
    with pytest.raises(ValueError, match="poll: must be more than 0"):
        outbox.Relay(engine, client(receiver), poll=timedelta(0))
    with pytest.raises(ValueError, match="one in memory cannot be shared"):
        outbox.Relay(create_engine("sqlite://"), client(receiver))
    engine.dispose()


def test_lapsed_lease_of_another_relay_is_taken_over(
    database: Engine, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    logging.getLogger("httpx").setLevel(logging.WARNING)
    write(database, 1, 2, key="a")
    from inngest_py.sdk.databases.choose import choose

    lost = claims.lease(choose(database, "database"))
    assert lost is not None
    write(database, 3, key="a")
    write(database, 4, key="b")
    with outbox.Relay(database, client(receiver)):
        wait_until(lambda: receiver.places() == [4], 10, "the other key")
        with database.begin() as connection:
            connection.execute(text("UPDATE inngest_outbox SET due_at = 1 WHERE seed IS NOT NULL"))
        drain(database)
    assert receiver.places() == [4, 1, 2, 3]
    assert receiver.requests[1].seed == lost.seed
