"""Services of upkeep: whatever they raise, they run again, and the error is reported."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest
from sqlalchemy.exc import OperationalError

from inngest_py.engine.runtime.context import Context
from inngest_py.engine.upkeep.loop import Service, Upkeep
from inngest_py.engine.upkeep.workers import Presence
from inngest_py.metrics.counters import Counters
from inngest_py.storage.db.session import Database
from inngest_py.storage.queries import worker_list
from tests.engine.harness import Engine, sequence
from tests.processes import wait_until

NAME = "odd"
BEAT = timedelta(milliseconds=10)


class Odd:
    """A service that raises a given number of times."""

    def __init__(self, *raises: BaseException) -> None:
        self._raises = list(raises)
        self.runs = 0

    def run_once(self, ctx: Context) -> bool:
        self.runs += 1
        if self._raises:
            raise self._raises.pop(0)
        return False


@contextmanager
def running(engine: Engine, odd: Odd) -> Iterator[None]:
    upkeep = Upkeep(engine.ctx, [Service(NAME, odd.run_once, BEAT)])
    upkeep.start()
    try:
        yield
    finally:
        upkeep.stop()


def test_service_that_raises_runs_again_and_is_reported(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    engine, counters = Engine(db, sequence("a")), Counters(lambda _: None)
    odd = Odd(KeyError("a"), RecursionError())
    counters.connect()
    try:
        with running(engine, odd):
            wait_until(lambda: engine.ctx.faults == {NAME: "KeyError"})
            wait_until(lambda: odd.runs > 2 and not engine.ctx.faults)
    finally:
        counters.disconnect()
    failed = [line for line in caplog.records if line.message == "upkeep.failed"]
    assert [line.exc_info and line.exc_info[0] for line in failed] == [KeyError, RecursionError]
    pauses = [line.fields["again_in"] for line in failed]  # type: ignore[attr-defined]
    assert pauses == [1.0, 2.0]
    counted = counters.registry.get_sample_value("inngest_upkeep_faults_total", {"service": NAME})
    assert counted == 2


def test_a_database_that_is_away_is_no_fault(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="inngest_py")
    engine = Engine(db, sequence("a"))
    away = [OperationalError("SELECT 1", None, gone()) for _ in range(3)]
    odd = Odd(*away)
    with running(engine, odd):
        wait_until(lambda: odd.runs > 4)
    assert not engine.ctx.faults
    assert [line.message for line in caplog.records if "upkeep." in line.message] == [
        "upkeep.away",
        "upkeep.back",
    ]


class OperationalErrorOfADriver(Exception):
    """An error named as drivers do; without a code, the database did not answer."""


def gone() -> BaseException:
    return OperationalErrorOfADriver("server closed the connection unexpectedly")


def test_worker_reports_its_faults_and_comes_back_after_it_was_forgotten(db: Database) -> None:
    engine = Engine(db, sequence("a"))
    others = [Presence(f"w{n}@host", "threads", 1) for n in range(2)]
    contexts = [engine.ctx, Engine(db, sequence("a")).ctx]
    contexts[1].worker_id = "w2"
    for ctx, presence in zip(contexts, others, strict=True):
        presence.announce(ctx)
    engine.now += timedelta(minutes=11)  # no worker could write its heartbeat
    others[0].heartbeat(contexts[0])
    assert alive(engine) == {"w0@host": None}
    contexts[1].clock = lambda: engine.now
    contexts[1].faults["crons"] = "KeyError"
    others[1].heartbeat(contexts[1])
    assert alive(engine) == {"w0@host": None, "w1@host": "crons"}
    others[1].leave(contexts[1])
    others[1].heartbeat(contexts[1])  # a heartbeat that was under way at the stop
    assert alive(engine) == {"w0@host": None}


def test_a_worker_that_leaves_is_not_brought_back_by_a_beat_under_way(db: Database) -> None:
    engine, presence = Engine(db, sequence("a")), Presence("w@host", "threads", 1)
    presence.announce(engine.ctx)
    began, go_on = threading.Event(), threading.Event()

    def slow_clock() -> datetime:
        began.set()
        assert go_on.wait(60)
        return engine.now

    engine.ctx.clock = slow_clock
    beating = threading.Thread(target=presence.heartbeat, args=(engine.ctx,))
    leaving = threading.Thread(target=presence.leave, args=(engine.ctx,))
    beating.start()
    assert began.wait(60)
    leaving.start()
    leaving.join(1)  # it waits for the beat
    go_on.set()
    for thread in (beating, leaving):
        thread.join(60)
    assert alive(engine) == {}


def alive(engine: Engine) -> dict[str, str | None]:
    with engine.ctx.db.reading() as tx:
        return {row["name"]: row["faults"] for row in worker_list.alive(tx, engine.now)}
