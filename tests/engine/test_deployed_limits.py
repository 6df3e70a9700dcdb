"""Limits that a sync or an override changes: runs that wait follow the new limits at once."""

import threading
from datetime import timedelta
from typing import Any

import pytest

from inngest_py.engine.admin import limit_overrides, pause_function
from inngest_py.engine.upkeep import lease_keeping, stuck_lines
from inngest_py.engine.work import claims, run_item
from inngest_py.storage.db.session import Database
from tests.engine.flow import ran, rows, send, statuses, together
from tests.engine.harness import Engine, sequence
from tests.engine.test_concurrency import race, sleeping
from tests.engine.test_overrides import claimed

HOURLY = {"limit": 1, "period": "1h"}
KEYED = {**HOURLY, "key": "event.data.k"}


@pytest.fixture(params=["deploy", "override"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def change(engine: Engine, way: str, **config: Any) -> None:
    """Change limits by a sync or an override; None removes a limit."""
    if way == "override":
        limit_overrides.put(engine.ctx, "app-fn", config)
        return
    engine.register(**{name: value for name, value in config.items() if value is not None})


def waiting(db: Database, count: int, **config: Any) -> Engine:
    """Queue so many runs of a function, with two keys; runs that need not wait have run."""
    engine = Engine(db, sequence(), **config)
    for n in range(count):
        send(engine, {"n": n, "k": n % 2})
        engine.now += timedelta(milliseconds=1)
    engine.drain()
    return engine


def test_faster_throttle_starts_waiting_runs_sooner(db: Database, way: str) -> None:
    engine = waiting(db, 4, throttle=HOURLY)
    change(engine, way, throttle={"limit": 1, "period": "10s"})
    engine.advance(seconds=9)
    assert ran(engine) == [0]  # the earlier start counts as one under the new rate, too
    engine.advance(seconds=1)
    assert ran(engine) == [0, 1]
    engine.advance(seconds=10)
    assert ran(engine) == [0, 1, 2]


def test_larger_burst_lets_more_runs_in_at_once(db: Database, way: str) -> None:
    engine = waiting(db, 4, throttle=HOURLY)
    change(engine, way, throttle={**HOURLY, "burst": 2})
    engine.advance(seconds=0)
    assert ran(engine) == [0, 1, 2]


def test_a_full_bucket_waits_no_longer_than_the_new_rate_asks(db: Database, way: str) -> None:
    engine = waiting(db, 12, throttle={"limit": 10, "period": "10m"})
    assert len(ran(engine)) == 10
    change(engine, way, throttle=HOURLY)  # ten ahead would be ten hours
    engine.advance(minutes=59)
    assert len(ran(engine)) == 10
    engine.advance(minutes=1)
    assert len(ran(engine)) == 11


def test_removed_throttle_lets_all_runs_in(db: Database, way: str) -> None:
    engine = waiting(db, 5, throttle=HOURLY)
    change(engine, way, throttle=None, concurrency=9)
    engine.advance(seconds=0)
    assert sorted(ran(engine)) == [0, 1, 2, 3, 4]
    assert rows(db, "SELECT id FROM queue_items") == []


def test_restored_throttle_does_not_remember_a_slower_rate(db: Database, way: str) -> None:
    engine = waiting(db, 1, throttle={"limit": 1, "period": "7d"})
    change(engine, way, throttle=None, concurrency=9)
    change(engine, way, throttle={"limit": 1, "period": "10s"})
    send(engine, {"n": 1})
    engine.drain()
    engine.advance(seconds=10)
    assert ran(engine) == [0, 1]


@pytest.mark.parametrize("before", [{}, {"concurrency": 1}, {"priority": {"run": "event.data.n"}}])
def test_added_throttle_delays_queued_runs(db: Database, way: str, before: dict[str, Any]) -> None:
    engine = Engine(db, sequence("a"), **before)
    send(engine, *({"n": n} for n in range(4)))
    change(engine, way, throttle=HOURLY, concurrency=9)
    engine.drain()
    engine.advance(seconds=2)
    assert len(ran(engine)) == 2  # one run, in two requests
    assert statuses(engine).count("queued") == 3
    engine.advance(hours=1)
    assert statuses(engine).count("queued") == 2
    for _ in range(2):
        engine.advance(hours=1)
    assert set(statuses(engine)) == {"completed"}
    assert rows(db, "SELECT id FROM queue_items") == []


def test_throttle_added_during_a_pause_counts_too(db: Database, way: str) -> None:
    engine = Engine(db, sequence())
    send(engine, *({"n": n} for n in range(3)))
    pause_function.pause(engine.ctx, "app-fn", pause_function.HOLD)
    change(engine, way, throttle=HOURLY)
    pause_function.resume(engine.ctx, "app-fn")
    engine.drain()
    engine.advance(seconds=2)
    assert len(ran(engine)) == 1


def test_added_throttle_does_not_delay_runs_that_have_begun(db: Database, way: str) -> None:
    engine = Engine(db, sequence("a"))
    run_id = engine.start(data={"n": 0})
    [_job] = claims.claim(engine.ctx, [item for _, item in engine.hinted.hints])
    change(engine, way, throttle=HOURLY)
    send(engine, {"n": 1}, {"n": 2})
    engine.drain()
    assert ran(engine) == [1, 1] or ran(engine) == [2, 2]
    engine.now += timedelta(minutes=1)
    lease_keeping.free_lapsed(engine.ctx, engine.now)  # its worker is gone
    engine.advance(seconds=0)
    assert engine.run(run_id)["status"] == "completed"


@pytest.mark.parametrize(
    ("before", "after", "started"), [(HOURLY, KEYED, 3), (KEYED, HOURLY, 3), (KEYED, KEYED, 2)]
)
def test_changed_key_makes_new_lines(
    db: Database, way: str, before: dict[str, Any], after: dict[str, Any], started: int
) -> None:
    """One line becomes two, each lets in its first run; two become one, with an empty bucket."""
    engine = waiting(db, 8, throttle=before)
    change(engine, way, throttle=after)
    engine.advance(seconds=2)
    assert len(ran(engine)) == started
    for _ in range(8):
        engine.advance(hours=1)
    assert sorted(ran(engine)) == list(range(8))
    assert rows(db, "SELECT id FROM queue_items") == []


def test_charged_runs_are_not_charged_again(db: Database) -> None:
    """After their throttle they wait for a slot, and start when there is one."""
    whole = {"fn": [{"limit": 1}]}
    engine = Engine(db, sleeping, throttle={"limit": 3, "period": "1h"}, concurrency=whole)
    send(engine, *({"n": n} for n in range(3)))
    engine.drain()
    assert statuses(engine).count("running") == 1
    engine.register(throttle={"limit": 4, "period": "1h"})
    engine.advance(seconds=1)
    assert statuses(engine).count("running") == 3
    send(engine, {"n": 3}, {"n": 4})
    engine.drain()
    assert statuses(engine).count("queued") == 1


def test_an_archived_function_keeps_its_throttle(db: Database) -> None:
    engine = waiting(db, 3, throttle=HOURLY)
    engine.register(id="app-other", name="other")
    engine.advance(hours=1)
    assert len(ran(engine)) == 2
    engine.register(throttle={**HOURLY, "burst": 1})
    engine.advance(hours=1)
    assert len(ran(engine)) == 3


def test_end_and_removal_of_an_override_retime_waiting_runs(db: Database) -> None:
    engine = waiting(db, 4, throttle={"limit": 1, "period": "10s"})
    limit_overrides.put(engine.ctx, "app-fn", {"throttle": HOURLY})
    limit_overrides.remove(engine.ctx, "app-fn")
    engine.advance(seconds=10)
    assert ran(engine) == [0, 1]
    limit_overrides.put(engine.ctx, "app-fn", {"throttle": HOURLY, "expiresIn": "20s"})
    engine.advance(seconds=19)
    assert ran(engine) == [0, 1]
    engine.now += timedelta(seconds=1)
    limit_overrides.expire(engine.ctx)
    engine.advance(seconds=10)
    assert ran(engine) == [0, 1, 2]


def test_changed_rate_limit_counts_earlier_events(db: Database, way: str) -> None:
    engine = waiting(db, 2, rateLimit={"limit": 1, "period": "24h"})
    change(engine, way, rateLimit={"limit": 20, "period": "1h"})  # three at once, one used
    send(engine, *({"n": n} for n in range(2, 6)))
    engine.drain()
    assert ran(engine) == [0, 2, 3]
    change(engine, way, rateLimit={"limit": 1, "period": "1m"})
    engine.now += timedelta(minutes=1)
    send(engine, {"n": 6}, {"n": 7})
    engine.drain()
    assert ran(engine) == [0, 2, 3, 6]


def test_deployed_limits_of_concurrency_count_at_once(db: Database) -> None:
    engine = Engine(db, sequence("a"), concurrency=1)
    send(engine, *({"n": n} for n in range(6)))
    assert claimed(engine) == 1
    engine.register(concurrency=3)
    assert claimed(engine) == 2
    engine.register(concurrency=1)
    assert claimed(engine) == 0
    engine.register()
    assert claimed(engine) == 3


def test_override_beats_a_deployed_limit(db: Database) -> None:
    engine = waiting(db, 3, throttle=HOURLY)
    limit_overrides.put(engine.ctx, "app-fn", {"throttle": {"limit": 1, "period": "2h"}})
    engine.register(throttle={"limit": 9, "period": "1s"})
    engine.advance(hours=1)
    assert ran(engine) == [0]
    limit_overrides.remove(engine.ctx, "app-fn")
    engine.advance(seconds=1)
    assert ran(engine) == [0, 1, 2]


def test_upkeep_checks_every_line(db: Database) -> None:
    engine = Engine(db, sequence("a"), concurrency=[{"limit": 1, "key": "event.data.k"}])
    for _ in range(2):
        send(engine, *({"k": k} for k in range(120)))
        engine.now += timedelta(milliseconds=1)
    assert claimed(engine) == 120
    with db.transaction() as tx:  # limits that change without a sync
        tx.exec_driver_sql(
            "UPDATE functions SET config = replace(config, '\"limit\":1', '\"limit\":2')"
        )
    engine.ctx.catalog.version = -1
    standing = stuck_lines.StuckLines()
    found = []
    for _ in range(3):
        assert not standing.run_once(engine.ctx)
        found.append(len(engine.hinted.hints))
    assert found == [50, 100, 120]


def test_deploys_race_with_workers_and_lose_nothing(db: Database) -> None:
    engine = Engine(db, sequence("a"))
    send(engine, *({"n": n, "k": n % 3} for n in range(30)))
    configs: list[dict[str, Any]] = [
        {"throttle": {"limit": 2, "period": "10s"}},
        {"throttle": {"limit": 3, "period": "20s", "key": "event.data.k"}},
        {"concurrency": 2},
        {
            "throttle": {"limit": 1, "period": "5s"},
            "concurrency": [{"limit": 1, "key": "event.data.k"}],
        },
    ]

    def deploy() -> None:
        for number in range(12):
            engine.register(**configs[number % 4])

    deploying = threading.Thread(target=deploy)
    deploying.start()
    race(engine)
    deploying.join(60)
    for _ in range(60):
        engine.advance(seconds=10)
    assert statuses(engine) == ["completed"] * 30
    assert rows(db, "SELECT id FROM queue_items") == []


def test_an_added_throttle_is_exact_under_threads(db: Database) -> None:
    engine = Engine(db, sequence())
    send(engine, *({"n": n} for n in range(24)))
    engine.register(throttle={"limit": 5, "period": "10s"})
    hints, engine.hinted.hints = engine.hinted.hints, []
    together(8, lambda n: [run_item.work(engine.ctx, [i]) for _, i in hints[n::8]] and None)
    assert len(ran(engine)) == 5
