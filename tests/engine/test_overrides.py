"""Overrides of limits: for runs that wait already, in every process, and until their end."""

import random
import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from inngest_py.domain.errors import Invalid, NotFound
from inngest_py.domain.reply.read import Reply
from inngest_py.engine.admin import limit_overrides
from inngest_py.engine.runtime.catalog import Catalog
from inngest_py.engine.upkeep import lease_keeping, stuck_lines
from inngest_py.engine.work import claims
from inngest_py.storage.db.session import Database
from tests.engine.flow import ran, rows, send, statuses
from tests.engine.harness import Engine, sequence
from tests.engine.test_concurrency import Watched, race, sleeping
from tests.factories import reply

KEYED = [{"limit": 1, "key": "event.data.k"}]


def put(engine: Engine, **body: Any) -> None:
    limit_overrides.put(engine.ctx, "app-fn", body)


def claimed(engine: Engine) -> int:
    """Claim the hinted items as workers would; return how many were claimed."""
    hints, engine.hinted.hints = engine.hinted.hints, []
    return sum(len(claims.claim(engine.ctx, [item_id])) for _, item_id in hints)


@pytest.mark.parametrize("body", [{"concurrency": 3}, {"concurrency": None}])
def test_raised_limit_lets_waiting_requests_in_at_once(db: Database, body: Any) -> None:
    engine = Engine(db, sequence("a"), concurrency=1)
    send(engine, *({"n": n} for n in range(3)))
    assert claimed(engine) == 1
    put(engine, **body)
    assert claimed(engine) == 2


def test_idempotency_forgets_no_key_for_an_override(db: Database) -> None:
    engine = Engine(db, sequence("a"), idempotency="event.data.k")
    send(engine, {"k": 1})
    for body in ({"rateLimit": {"limit": 9, "period": "1s"}}, {"rateLimit": None}):
        with pytest.raises(Invalid) as raised:
            put(engine, **body)
        assert raised.value.field == "rateLimit"
    send(engine, {"k": 1})
    assert len(statuses(engine)) == 1


def test_a_lowered_limit_counts_from_the_next_claim(db: Database) -> None:
    engine = Engine(db, sequence("a"), concurrency=3)
    send(engine, *({"n": n} for n in range(4)))
    put(engine, concurrency=1)
    assert claimed(engine) + claimed(engine) == 1  # items let in before give up their slots
    limit_overrides.remove(engine.ctx, "app-fn")
    assert claimed(engine) == 2


def test_limits_of_whole_runs_are_raised_too(db: Database) -> None:
    engine = Engine(db, sleeping, concurrency={"fn": [{"limit": 1}]})
    send(engine, {}, {}, {})
    engine.drain()
    assert statuses(engine).count("running") == 1
    put(engine, concurrency={"fn": [{"limit": 2}]})
    engine.drain()
    assert statuses(engine).count("running") == 2


def test_raised_throttle_lets_its_line_in_at_once(db: Database) -> None:
    slow = {"limit": 1, "period": "1h"}
    engine = Engine(db, sequence(), throttle=slow)
    send(engine, *({"n": n} for n in range(4)))
    engine.drain()
    assert ran(engine) == [0]
    put(engine, throttle={"limit": 2, "period": "1h", "burst": 1})
    engine.advance(seconds=0)
    assert ran(engine) == [0, 1, 2]
    put(engine, throttle=None)
    engine.advance(seconds=0)
    assert ran(engine) == [0, 1, 2, 3]
    limit_overrides.remove(engine.ctx, "app-fn")
    send(engine, {"n": 4}, {"n": 5})
    engine.drain()
    assert len(ran(engine)) < 6


def test_a_changed_rate_forgets_nothing(db: Database) -> None:
    engine = Engine(db, sequence(), rateLimit={"limit": 1, "period": "24h"})
    send(engine, {"n": 0}, {"n": 1})
    put(engine, rateLimit={"limit": 20, "period": "24h"})  # three at once, one of them used
    send(engine, *({"n": n} for n in range(2, 6)))
    engine.drain()
    assert ran(engine) == [0, 2, 3]


def test_a_rate_limit_counts_for_the_next_event(db: Database) -> None:
    engine = Engine(db, sequence())
    put(engine, rateLimit={"limit": 1, "period": "1m"})
    send(engine, {"n": 0}, {"n": 1})
    put(engine, rateLimit=None)
    send(engine, {"n": 2})
    engine.drain()
    assert ran(engine) == [0, 2]


def test_a_backoff_counts_for_the_next_failure(db: Database) -> None:
    engine = Engine(db, lambda request, _: reply(500, {}), retries=3)
    put(engine, backoff={"initial": "2s", "factor": 10})
    run_id = engine.start()
    engine.drain()
    waits = []
    for _ in range(2):
        [item] = engine.queued(run_id)
        waits.append((item["due_at"] - engine.now).total_seconds())
        engine.advance(seconds=waits[-1])
    assert waits == [2, 20]
    limit_overrides.remove(engine.ctx, "app-fn")
    [item] = engine.queued(run_id)
    engine.now = item["due_at"]
    engine.advance(seconds=0)
    assert engine.run(run_id)["status"] == "failed"


def test_retry_after_beats_a_backoff(db: Database) -> None:
    def busy(request: dict[str, Any], _: str) -> Reply:
        return reply(500, {}, retry_after="7")

    engine = Engine(db, busy)
    put(engine, backoff={"initial": "2s"})
    run_id = engine.start()
    engine.drain()
    [item] = engine.queued(run_id)
    assert item["due_at"] - engine.now == timedelta(seconds=7)


def test_override_is_kept_through_syncs(db: Database) -> None:
    engine = Engine(db, sequence("a"), concurrency=1)
    put(engine, concurrency=2)
    engine.register(2, concurrency=4)
    send(engine, *({"n": n} for n in range(5)))
    assert claimed(engine) == 2
    shown = limit_overrides.remove(engine.ctx, "app-fn").shown()
    assert shown["override"] is None
    assert shown["effective"] == shown["configured"]
    assert claimed(engine) == 2


def test_an_override_ends_at_its_time_by_itself(db: Database) -> None:
    engine = Engine(db, sequence("a"), concurrency=3)
    put(engine, concurrency=1, expiresIn="1m", by="ops")
    shown = limit_overrides.show(engine.ctx, "app-fn").shown()
    assert shown["override"] == {
        "concurrency": {"step": [{"limit": 1, "scope": "fn"}], "fn": []},
        "expires_at": engine.now + timedelta(minutes=1),
        "set_at": engine.now,
        "set_by": "ops",
    }
    engine.now += timedelta(seconds=59)
    send(engine, *({"n": n} for n in range(4)))
    assert claimed(engine) == 1
    engine.now += timedelta(seconds=1)
    assert limit_overrides.show(engine.ctx, "app-fn").override is None
    send(engine, {"n": 4})  # the next arrival lets in those before it
    assert claimed(engine) == 2


def test_end_of_an_override_lets_lines_in_by_itself(db: Database) -> None:
    engine = Engine(db, sequence(), throttle={"limit": 9, "period": "1m"}, concurrency=9)
    put(engine, throttle={"limit": 1, "period": "1d"}, concurrency=1, expiresIn="1m")
    send(engine, *({"n": n} for n in range(4)))
    engine.drain()
    assert ran(engine) == [0]
    engine.now += timedelta(minutes=1)
    limit_overrides.expire(engine.ctx)
    assert rows(db, "SELECT limits, limits_until, limits_at, limits_by FROM functions") == [
        (None, None, None, None)
    ]
    engine.ctx.catalog.version = -1  # as another process
    engine.advance(seconds=0)
    assert ran(engine) == [0, 1, 2, 3]


def test_override_that_was_set_again_does_not_end_early(db: Database) -> None:
    engine = Engine(db, sequence())
    put(engine, concurrency=1, expiresIn="1m")
    engine.now += timedelta(minutes=2)
    put(engine, concurrency=2, expiresIn="1m")
    limit_overrides.expire(engine.ctx)
    assert limit_overrides.show(engine.ctx, "app-fn").override is not None


def test_other_processes_see_an_override_at_their_next_claim(db: Database) -> None:
    engine = Engine(db, sequence("a"), concurrency=3)
    other = replace(engine.ctx, catalog=Catalog(), worker_id="w2")
    send(engine, *({"n": n} for n in range(4)))
    ids = [item_id for _, item_id in engine.hinted.hints]
    assert len(claims.claim(other, ids[:1])) == 1  # it knows the function now
    put(engine, concurrency=1)
    assert claims.claim(other, ids[1:]) == []


@pytest.mark.parametrize(
    ("before", "after", "at_once"),
    [
        (1, KEYED, 2),  # by key: one of each
        (KEYED, 1, 1),
        (KEYED, {"fn": [{"limit": 1}]}, 1),
        ({"fn": [{"limit": 1}]}, 2, 2),
        (None, 1, 1),
    ],
)
def test_runs_that_have_not_begun_wait_in_the_new_lines(
    db: Database, before: Any, after: Any, at_once: int
) -> None:
    engine = Engine(db, sequence("a", "b"), concurrency=before)
    watched = Watched(engine.sdk.script, pause=0)
    engine.sdk.script = watched
    send(engine, *({"k": n % 2, "n": n} for n in range(8)))
    put(engine, concurrency=after)
    assert claimed(engine) <= at_once
    engine.now += timedelta(minutes=1)
    lease_keeping.free_lapsed(engine.ctx, engine.now)  # their worker is gone
    for _ in range(10):
        stuck_lines.StuckLines().run_once(engine.ctx)  # as upkeep does: a lease was lost
        engine.advance(seconds=2)
    assert statuses(engine) == ["completed"] * 8
    assert watched.most["all"] <= at_once
    assert rows(db, "SELECT id FROM queue_items") == []


def test_a_race_of_changes_and_workers_loses_nothing(db: Database) -> None:
    watched = Watched(sequence("a", "b"))
    engine = Engine(db, watched, concurrency=2)
    send(engine, *({"k": n % 3} for n in range(30)))
    chance = random.Random(7)
    bodies: list[Any] = [1, 3, KEYED, {"fn": [{"limit": 2}]}]

    def change() -> None:
        for _ in range(12):
            put(engine, concurrency=chance.choice(bodies))
        limit_overrides.remove(engine.ctx, "app-fn")

    changer = threading.Thread(target=change)
    changer.start()
    race(engine)
    changer.join(60)
    for _ in range(40):
        engine.advance(seconds=2)
    assert statuses(engine) == ["completed"] * 30
    assert rows(db, "SELECT id FROM queue_items") == []


def test_unknown_functions_have_no_limits(db: Database) -> None:
    engine = Engine(db, sequence())
    for act in (limit_overrides.show, limit_overrides.remove):
        with pytest.raises(NotFound):
            act(engine.ctx, "nobody")
    with pytest.raises(NotFound):
        limit_overrides.put(engine.ctx, "nobody", {"concurrency": 1})
