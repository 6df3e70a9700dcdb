"""Cron triggers: ticks are planned by syncs and start once; missed ones follow a policy."""

import threading
from datetime import timedelta
from typing import Any

import orjson
import pytest

from inngest_py.domain.functions.registration import parse_function, parse_registration
from inngest_py.engine.admin import pause_function
from inngest_py.engine.apps.register import register, register_one, remove
from inngest_py.engine.intake import cron_schedules
from inngest_py.engine.intake.cron_schedules import Missed
from inngest_py.engine.upkeep import cron_ticks as upkeep
from inngest_py.storage.catalog import crons as rows
from inngest_py.storage.db.session import Database
from inngest_py.storage.queries import function_list
from inngest_py.storage.queue import load_runs
from tests.engine.harness import Engine, sequence, stored_runs

URL = "http://localhost:1/clock"
EVERY = "* * * * *"


def sync(engine: Engine, *triggers: dict[str, Any], app: str = "clock") -> None:
    """Register an app of one function with these triggers, or of another function."""
    step = {"id": "step", "name": "step", "runtime": {"type": "http", "url": f"{URL}?fnId=clock-f"}}
    function = {"id": "clock-f", "name": "f", "triggers": list(triggers), "steps": {"step": step}}
    if not triggers:
        function |= {"id": "clock-other", "name": "o", "triggers": [{"event": "x"}]}
    payload = {"appName": app, "url": URL, "functions": [function]}
    register(engine.ctx, parse_registration(payload))


def planned(engine: Engine) -> list[tuple[str, str]]:
    with engine.ctx.db.reading() as tx:
        later = engine.now + timedelta(days=9999)
        return [(row.expression, f"{row.tick:%H:%M}") for row in rows.due(tx, later, 99)]


def ran(engine: Engine) -> list[tuple[str, str, str]]:
    """List cron runs as schedule, tick and status, oldest first."""
    with engine.ctx.db.reading() as tx:
        found = [row for row in stored_runs(tx) if row["cron"] is not None]
        loaded = load_runs.load(tx, [row["id"] for row in found])
    events = [orjson.loads(loaded[row["id"]][0].event) for row in found]
    return sorted(
        (row["cron"], event["id"], row["status"]) for row, event in zip(found, events, strict=True)
    )


def pass_time(engine: Engine, missed: Missed = Missed.SKIP, **delta: float) -> None:
    engine.now += timedelta(**delta)
    while cron_schedules.run_due(engine.ctx, missed):
        pass
    engine.drain()


def test_a_tick_starts_a_run_with_its_event(db: Database) -> None:
    engine = Engine(db, sequence())
    sync(engine, {"cron": EVERY}, {"event": "a/c"})
    pass_time(engine, seconds=54)
    assert ran(engine) == []
    pass_time(engine, seconds=1.2)
    assert ran(engine) == [(EVERY, "2026-01-02T03:05:00Z", "completed")]
    [request] = engine.sdk.requests
    assert request["event"] == {
        "name": "inngest/scheduled.timer",
        "id": "2026-01-02T03:05:00Z",
        "ts": 1767323100000,
        "user": {},
        "data": {
            "cron": EVERY,
            "scheduledAt": "2026-01-02T03:05:00Z",
            "fireAt": "2026-01-02T03:05:00Z",
        },
    }
    assert planned(engine) == [(EVERY, "03:06")]
    engine.start(name="a/c")
    engine.drain()
    assert len(engine.sdk.requests) == 2


def test_jitter_delays_the_first_request_and_no_other_tick(db: Database) -> None:
    engine = Engine(db, sequence())
    sync(engine, {"cron": EVERY, "jitter": "5m"})
    for _ in range(3):
        pass_time(engine, minutes=1)
    assert [status for _, _, status in ran(engine)] == ["queued"] * 3
    with db.reading() as tx:
        [first, *_] = reversed(stored_runs(tx))
    [item] = engine.queued(first["id"])
    delay = item["due_at"] - first["queued_at"].replace(second=0)
    assert timedelta(seconds=1) <= delay < timedelta(minutes=5)
    engine.advance(minutes=5)
    assert [status for _, _, status in ran(engine)] == ["completed"] * 3


def test_a_sync_adds_keeps_changes_and_removes_schedules(db: Database) -> None:
    engine = Engine(db, sequence())
    sync(engine, {"cron": EVERY}, {"cron": "0 9 * * *"}, {"cron": "0 0 31 4 *"})
    assert planned(engine) == [(EVERY, "03:05"), ("0 9 * * *", "09:00")]
    engine.now += timedelta(minutes=1)  # 03:05 has come, no worker took it
    sync(engine, {"cron": EVERY, "jitter": "2s"}, {"cron": "TZ=Asia/Tokyo 30 18 * * *"})
    assert planned(engine) == [(EVERY, "03:05"), ("TZ=Asia/Tokyo 30 18 * * *", "09:30")]
    body = {"app": "clock", "id": "clock-x", "name": "x", "url": URL}
    register_one(engine.ctx, parse_function({**body, "triggers": [{"cron": "1 * * * *"}]}))
    assert ("1 * * * *", "04:01") in planned(engine)
    sync(engine)  # archives both
    assert planned(engine) == []
    sync(engine, {"cron": EVERY})
    assert planned(engine) == [(EVERY, "03:06")]
    remove(engine.ctx, "http://localhost:1/clock")
    assert planned(engine) == []


def test_schedule_that_its_function_no_longer_has_starts_nothing(db: Database) -> None:
    engine = Engine(db, sequence())
    sync(engine, {"event": "a/c"})
    with db.transaction() as tx:
        [row] = [row for row in function_list.every(tx) if row["app_name"] == "clock"]
        rows.add(tx, [((row["id"], EVERY), engine.now)])
    pass_time(engine, minutes=1)
    assert (planned(engine), ran(engine)) == ([], [])


def test_schedules_of_one_function_start_one_run_for_one_moment(db: Database) -> None:
    """The run's key is the function and the tick's time (events.md §5.2)."""
    engine = Engine(db, sequence())
    sync(engine, {"cron": "5,6 3 * * *"}, {"cron": "6,7 3 * * *"})
    for _ in range(3):
        pass_time(engine, minutes=1)
    ticks = [tick for _, tick, _ in ran(engine)]
    assert sorted(ticks) == [f"2026-01-02T03:0{minute}:00Z" for minute in (5, 6, 7)]


@pytest.mark.parametrize(
    ("missed", "minutes", "minute_past"),
    [
        (Missed.SKIP, 1, [5]),  # 5 s late: not missed
        (Missed.SKIP, 10, [14]),
        (Missed.ONCE, 10, [14]),
        (Missed.ALL, 10, [5, 6, 7, 8, 9, 10, 11, 12, 13, 14]),
    ],
)
def test_missed_ticks_follow_the_policy(
    db: Database, missed: Missed, minutes: int, minute_past: list[int]
) -> None:
    engine = Engine(db, sequence())
    sync(engine, {"cron": EVERY})
    pass_time(engine, missed, minutes=minutes)
    assert [tick for _, tick, _ in ran(engine)] == [
        f"2026-01-02T03:{minute:02}:00Z" for minute in minute_past
    ]
    assert planned(engine) == [(EVERY, f"03:{minute_past[-1] + 1:02}")]


@pytest.mark.parametrize(
    ("missed", "count"), [(Missed.SKIP, 0), (Missed.ONCE, 1), (Missed.ALL, 100)]
)
def test_a_long_time_without_workers(db: Database, missed: Missed, count: int) -> None:
    engine = Engine(db, sequence())
    sync(engine, {"cron": "0 * * * *"})
    pass_time(engine, missed, days=30)
    found = ran(engine)
    assert len(found) == count
    assert not found or found[-1][1] == "2026-02-01T03:00:00Z"


@pytest.mark.parametrize("events", ["skip", "hold"])
def test_ticks_of_a_paused_function_are_skipped(db: Database, events: str) -> None:
    engine = Engine(db, sequence())
    sync(engine, {"cron": EVERY})
    pause_function.pause(engine.ctx, "clock-f", events)
    pass_time(engine, minutes=1)
    pause_function.resume(engine.ctx, "clock-f")
    pass_time(engine, minutes=1)
    assert [status for _, _, status in ran(engine)] == ["skipped", "completed"]


def test_a_tick_that_several_workers_take_at_once_is_one_run(db: Database) -> None:
    engine = Engine(db, sequence())
    hours = [{"cron": f"{minute} 4 * * *"} for minute in range(9)]
    sync(engine, *hours)
    engine.now += timedelta(hours=1)
    begin = threading.Barrier(4)

    def take() -> None:
        begin.wait()
        cron_schedules.run_due(engine.ctx, Missed.ALL)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    found = [tick for _, tick, _ in ran(engine)]
    assert sorted(found) == [f"2026-01-02T04:0{minute}:00Z" for minute in range(5)]


def test_upkeep_wakes_for_the_next_minute(db: Database) -> None:
    engine = Engine(db, sequence())
    longest = timedelta(seconds=1)
    assert upkeep.delay(engine.ctx, longest) == longest
    engine.now += timedelta(seconds=54.9)
    assert upkeep.delay(engine.ctx, longest) == timedelta(seconds=0.1)
    sync(engine, {"cron": EVERY})
    engine.now += timedelta(seconds=0.1)
    assert upkeep.run_once(engine.ctx) is False
    assert len(ran(engine)) == 1


@pytest.mark.parametrize("missed", list(Missed))
def test_a_missed_tick_is_noted_with_its_schedule(db: Database, missed: Missed) -> None:
    engine = Engine(db, sequence())
    sync(engine, {"cron": EVERY})
    pass_time(engine, minutes=1, seconds=30)  # late, but not missed
    began = engine.now
    with db.reading() as tx:
        assert rows.missed_since(tx, began - timedelta(days=1)) == []
    pass_time(engine, missed, days=1)
    with db.reading() as tx:
        [noted] = rows.missed_since(tx, began)
    assert (noted.slug, noted.expression) == ("clock-f", EVERY)
    assert began < noted.tick < began + timedelta(minutes=1)
