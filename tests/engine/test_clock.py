"""A virtual clock is moved from moment to moment: what is due happens at its own time, in order."""

import os
import random
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inngest_py.domain.errors import Conflict, Invalid
from inngest_py.domain.functions.registration import parse_registration
from inngest_py.domain.reply.read import Reply
from inngest_py.engine.admin import limit_overrides
from inngest_py.engine.apps.register import register
from inngest_py.engine.clock import kept
from inngest_py.engine.clock.mover import Mover
from inngest_py.engine.clock.moves import check_target, move, next_moment
from inngest_py.engine.clock.virtual import VirtualClock
from inngest_py.engine.intake import publish
from inngest_py.engine.runtime.context import utc_now
from inngest_py.storage.db.session import Database
from inngest_py.storage.operations import workers
from inngest_py.storage.queries import function_list
from inngest_py.storage.schema import migrate
from tests.engine.harness import Engine, opened, stored_runs
from tests.factories import NOW, op, reply

URL = "http://localhost:1/api"
Step = tuple[str, int]  # a kind of step, and its minutes or its failed attempts
Seen = tuple[datetime, str, int, int]  # when, function, steps done, attempt


class World:
    """An engine with a virtual clock that stands, and what its app saw."""

    def __init__(self, db: Database, functions: dict[str, tuple[dict[str, Any], list[Step]]]):
        self.clock = VirtualClock(NOW, lambda: NOW, is_frozen=True)
        self.programs = {name: steps for name, (_, steps) in functions.items()}
        self.seen: list[Seen] = []
        self.engine = Engine(db, self._answer)
        self.ctx = self.engine.ctx
        self.ctx.clock = self.clock.now
        self.ctx.jitter = lambda: 0.5
        self.ctx.tuning = replace(self.ctx.tuning, linear_retry=timedelta(minutes=7))
        given = [_function(name, config) for name, (config, _) in functions.items()]
        payload = {"appName": "app", "url": URL, "functions": given}
        register(self.ctx, parse_registration(payload))
        with self.ctx.db.reading() as tx:
            self._names = {row["id"]: row["slug"][4:] for row in function_list.every(tx)}

    def _answer(self, request: dict[str, Any], _target: str) -> Reply:
        name = self._names[request["ctx"]["fn_id"]]
        done, attempt = len(request["steps"]), request["ctx"]["attempt"]
        self.seen.append((self.clock.now(), name, done, attempt))
        program = self.programs[name]
        if done == len(program):
            return reply(200, {"done": done})
        kind, number = program[done]
        step_id = f"s{done}"
        if kind == "sleep":
            return reply(206, [op("Sleep", step_id, name=f"{number}m")])
        if kind == "wait":
            opts = {"timeout": f"{number}m"}
            return reply(206, [op("WaitForEvent", step_id, name="tell", opts=opts)])
        if kind == "fail" and attempt < number:
            error = {"name": "E", "message": "m"}
            return reply(206, [op("StepError", step_id, error=error)])
        return reply(206, [op("StepRun", step_id, data=done)], x_inngest_req_version="2")

    def send(self, name: str) -> None:
        self.engine.now = self.clock.now()
        publish.accept(self.ctx, [self.engine.event(name)])
        self.settle()

    def settle(self) -> None:
        self.engine.now = self.clock.now()
        self.engine.advance()

    def move(self, **delta: float) -> int:
        return self.to(self.clock.now() + timedelta(**delta))

    def to(self, target: datetime) -> int:
        return move(self.ctx, self.clock, target, self.settle)

    def ended(self) -> list[tuple[str, str, datetime]]:
        """List what has become of runs: function, status, when it ended."""
        with self.ctx.db.reading() as tx:
            found = [dict(row) for row in stored_runs(tx)]
        return sorted(
            (row["function_slug"], row["status"], row["ended_at"] or NOW) for row in found
        )


def _function(name: str, config: dict[str, Any]) -> dict[str, Any]:
    url = f"{URL}?fnId=app-{name}&stepId=step"
    first = {"id": "step", "name": "step", "runtime": {"type": "http", "url": url}}
    first["retries"] = {"attempts": 2}
    given = {"triggers": [{"event": "go"}], **config}
    return {"id": f"app-{name}", "name": name, "steps": {"step": first}, **given}


def at(**delta: float) -> datetime:
    return NOW + timedelta(**delta)


def test_each_thing_happens_at_its_own_moment(db: Database) -> None:
    world = World(db, {"f": ({}, [("sleep", 60), ("sleep", 120), ("run", 0)])})
    world.send("go")
    assert world.move(days=1) == 2
    assert [(when, done) for when, _, done, _ in world.seen] == [
        (NOW, 0),
        (at(hours=1), 1),
        (at(hours=3), 2),
        (at(hours=3), 3),
    ]
    assert world.ended() == [("app-f", "completed", at(hours=3))]
    assert world.clock.now() == at(days=1)


def test_every_tick_of_a_cron_starts_one_run_at_its_time(db: Database) -> None:
    world = World(db, {"f": ({"triggers": [{"cron": "0 * * * *"}]}, [("run", 0)])})
    world.move(hours=5)
    whole = [when for when, _, done, _ in world.seen if done == 0]
    assert whole == [datetime(2026, 1, 2, hour, tzinfo=NOW.tzinfo) for hour in (4, 5, 6, 7, 8)]
    assert next_moment(world.ctx) == datetime(2026, 1, 2, 9, tzinfo=NOW.tzinfo)


def test_retries_waits_and_debounces_follow_the_clock(db: Database) -> None:
    world = World(
        db,
        {
            "tried": ({}, [("fail", 2)]),
            "waits": ({}, [("wait", 90)]),
            "late": ({"debounce": {"period": "30m"}}, []),
            "limited": ({"timeouts": {"finish": "45m"}}, [("sleep", 60)]),
        },
    )
    world.send("go")
    world.move(days=1)
    ended = {slug: (status, when) for slug, status, when in world.ended()}
    assert ended["app-tried"] == ("completed", at(minutes=14))
    assert ended["app-waits"] == ("completed", at(minutes=90))
    status, when = ended["app-late"]
    assert (status, timedelta(minutes=30) <= when - NOW < timedelta(minutes=30, seconds=2)) == (
        "completed",
        True,
    )
    assert ended["app-limited"] == ("cancelled", at(minutes=45))


def test_throttles_and_overrides_follow_the_clock(db: Database) -> None:
    limit = {"throttle": {"limit": 1, "period": "1h", "key": "event.name"}}
    world = World(db, {"f": (limit, [])})
    for _ in range(3):
        world.send("go")
    world.move(minutes=150)
    assert [when for when, *_ in world.seen] == [NOW, at(hours=1), at(hours=2)]
    until = at(hours=4)
    body = {"concurrency": 1, "expiresAt": until.isoformat()}
    limit_overrides.put(world.ctx, "app-f", body)
    assert next_moment(world.ctx) == until
    world.move(hours=2)
    assert limit_overrides.show(world.ctx, "app-f").override is None


def test_a_moved_clock_never_goes_back(db: Database) -> None:
    world = World(db, {"f": ({}, [("sleep", 60)])})
    world.send("go")
    with pytest.raises(Invalid, match="cannot be set back"):
        world.to(NOW - timedelta(seconds=1))
    assert (world.clock.now(), len(world.seen)) == (NOW, 1)


def test_far_targets_have_to_be_confirmed() -> None:
    far = at(days=366)
    with pytest.raises(Invalid, match="--yes"):
        check_target(NOW, far, confirmed=False)
    check_target(NOW, far, confirmed=True)
    with pytest.raises(Invalid, match="cannot go back"):
        check_target(NOW, at(seconds=-1), confirmed=True)
    too_late = datetime(2098, 1, 2, tzinfo=UTC)
    for move_there in (
        lambda: check_target(NOW, too_late, confirmed=True),
        lambda: VirtualClock(NOW).set(too_late),
    ):
        with pytest.raises(Invalid, match="at most"):
            move_there()


def test_what_fails_at_a_moment_ends_the_move_there(db: Database) -> None:
    world = World(db, {"f": ({}, [("sleep", 60), ("sleep", 60)])})
    world.send("go")

    def settle() -> None:
        if world.clock.now() == at(hours=1):
            raise RuntimeError("the app is gone")
        world.settle()

    with pytest.raises(RuntimeError):
        move(world.ctx, world.clock, at(days=1), settle)
    assert world.clock.now() == at(hours=1)
    world.move(days=1)  # nothing is lost by it
    assert world.ended() == [("app-f", "completed", at(hours=2))]


def test_the_clock_runs_stands_and_runs_on() -> None:
    real = [NOW]
    clock = VirtualClock(at(days=1), lambda: real[0])
    real[0] += timedelta(seconds=5)
    assert clock.now() == at(days=1, seconds=5)
    clock.freeze()
    real[0] += timedelta(seconds=5)
    assert clock.now() == at(days=1, seconds=5)
    clock.set(at(days=2))
    assert (clock.now(), clock.is_frozen) == (at(days=2), True)
    clock.resume()
    clock.resume()
    real[0] += timedelta(seconds=1)
    assert (clock.now(), clock.is_frozen) == (at(days=2, seconds=1), False)
    with clock.standing():
        real[0] += timedelta(seconds=1)
    assert clock.now() == at(days=2, seconds=1)


def test_the_database_keeps_its_clock(db: Database) -> None:
    clock = kept.load(db)
    assert abs(clock.now() - utc_now()) < timedelta(minutes=1)
    kept.refuse_moved(db)
    clock.set(clock.now() + timedelta(days=3))
    kept.save(db, clock, stands=False)
    again = kept.load(db)
    assert abs(again.now() - clock.now()) < timedelta(seconds=5)
    clock.freeze()
    kept.save(db, clock, stands=False)  # as in a move
    assert not kept.load(db).is_frozen
    kept.save(db, clock, stands=True)
    again = kept.load(db)
    assert (again.now(), again.is_frozen) == (clock.now(), True)
    with pytest.raises(Conflict, match="dev --clock virtual"):
        kept.refuse_moved(db)


def test_a_server_that_came_later_keeps_the_clock_from_moving(db: Database) -> None:
    """It shows the real time, as this clock did when it began."""
    world = World(db, {"f": ({}, [("sleep", 60)])})
    world.send("go")
    mover = Mover(world.ctx, world.clock)
    came = {"name": "other", "host": socket.gethostname(), "pid": os.getppid(), "pool": "gevent"}
    came |= {"id": "other", "concurrency": 1, "started_at": utc_now(), "heartbeat_at": utc_now()}
    with db.transaction() as tx:
        workers.put(tx, came)
    for act in (lambda: mover.advance(timedelta(hours=1)), mover.to_next, mover.freeze):
        with pytest.raises(Conflict, match="another server works on this database"):
            act()
    assert (world.clock.now(), mover.state().moving_to) == (NOW, None)
    with db.transaction() as tx:
        workers.remove(tx, "other")
    mover.advance(timedelta(minutes=1))
    assert mover.wait(30) and world.clock.now() == at(minutes=1)


_STEPS = st.one_of(
    st.tuples(st.just("sleep"), st.integers(1, 1500)),
    st.tuples(st.just("wait"), st.integers(1, 1500)),
    st.tuples(st.just("fail"), st.integers(0, 3)),
    st.tuples(st.just("run"), st.just(0)),
)
_CONFIGS = st.sampled_from(
    [
        {},
        {"triggers": [{"cron": "17 */2 * * *"}]},
        {"triggers": [{"event": "go"}, {"cron": "3 */5 * * *"}]},
        {"debounce": {"period": "40m"}},
        {"throttle": {"limit": 1, "period": "25m"}},
        {"timeouts": {"finish": "20h"}},
        {"concurrency": [{"limit": 1}]},
        {"batchEvents": {"maxSize": 3, "timeout": "50s"}},
    ]
)
_FUNCTIONS = st.dictionaries(
    st.sampled_from(["a", "b", "c"]),
    st.tuples(_CONFIGS, st.lists(_STEPS, max_size=4)),
    min_size=1,
)
_EXAMPLES = int(os.environ.get("CLOCK_EXAMPLES", "12"))
SPAN = timedelta(hours=30)
_SENT_AT = (timedelta(0), timedelta(hours=1), timedelta(hours=7))
Ways = Callable[[World, datetime], None]


def in_one_jump(world: World, target: datetime) -> None:
    world.to(target)


def in_many(world: World, target: datetime) -> None:
    choice = random.Random(3)
    while (now := world.clock.now()) < target:
        world.to(min(target, now + timedelta(seconds=choice.choice((0.5, 70, 3600, 20_000)))))


def by_itself(world: World, target: datetime) -> None:
    """Let the clock run a million times as fast as the time of the machine."""
    start, began = world.clock.now(), time.perf_counter()
    while world.clock.now() < target:
        passed = timedelta(seconds=(time.perf_counter() - began) * 1_000_000)
        world.to(min(target, max(world.clock.now(), start + passed)))


def story(functions: dict[str, Any], way: Ways) -> tuple[object, object]:
    """Run a program; return what the app saw, and what became of its runs."""
    db = opened("sqlite://")
    migrate.prepare(db)
    try:
        world = World(db, functions)
        for offset, name in zip(_SENT_AT, ("go", "go", "tell"), strict=True):
            way(world, NOW + offset)
            world.send(name)
        way(world, NOW + SPAN)
        return sorted(world.seen), world.ended()
    finally:
        db.close()


@given(functions=_FUNCTIONS)
@settings(
    max_examples=int(os.environ.get("CLOCK_EXAMPLES", "12")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_the_way_of_the_clock_changes_nothing(functions: dict[str, Any]) -> None:
    expected = story(functions, in_one_jump)
    assert story(functions, in_many) == expected
    assert story(functions, by_itself) == expected
