"""Roll-ups: each run that ends is counted once, whoever counts, and old hours are deleted."""

from datetime import timedelta
from typing import Any

from sqlalchemy import func, select

from inngest_py.domain.reply.read import Reply
from inngest_py.domain.reports import roll_ups as rules
from inngest_py.domain.reports.roll_ups import Figures
from inngest_py.engine.runtime.group_commit import Committer
from inngest_py.engine.upkeep.roll_ups import counting, forgetting
from inngest_py.engine.upkeep.service_ticks import Resting
from inngest_py.storage.db.columns import table_of
from inngest_py.storage.db.session import Database
from inngest_py.storage.queries.reports import function_figures
from inngest_py.storage.runs import function_hours
from inngest_py.storage.runs.function_hours import ENDS, FunctionHour
from tests.engine.harness import Engine
from tests.factories import op, reply


def fails_when_told(request: dict[str, Any], target: str) -> Reply:
    """Fail when the event says so."""
    if request["event"]["data"].get("fails"):
        return reply(500, {"name": "E", "message": "m"}, x_inngest_no_retry="true")
    return reply(200, "done")


def sleeps(request: dict[str, Any], target: str) -> Reply:
    """Sleep for three hours."""
    if request["steps"]:
        return reply(200, "done")
    return reply(206, [op("Sleep", "nap", name="3h")], x_inngest_req_version="2")


def run(engine: Engine, *, fails: bool = False) -> str:
    """Run the function once; it was queued for a second."""
    run_id = engine.start(data={"fails": fails})
    engine.now += timedelta(seconds=1)
    engine.drain()
    function_id: str = engine.run(run_id)["function_id"]
    return function_id


def count(engine: Engine, most: int = 2000) -> int:
    """Count all that has settled; return how many slices that took."""
    slices = 1
    while counting.count(engine.ctx, most):
        slices += 1
    return slices


def shown(engine: Engine, most: int = function_figures.MOST_LATER) -> Figures:
    """Read the figures of the last 24 hours."""
    since = rules.first_hour(engine.now)
    with engine.ctx.db.reading() as tx:
        found = function_figures.counts(tx, since, most)
        function_figures.add_durations(tx, found.of, since, None)
        [figures] = found.of.values()
        return figures


def stored_hours(engine: Engine) -> int:
    with engine.ctx.db.reading() as tx:
        return tx.execute(select(func.count()).select_from(table_of(FunctionHour))).scalar_one()


def test_ends_are_shown_at_once_and_counted_once(db: Database) -> None:
    engine = Engine(db, fails_when_told)
    function_id = run(engine)
    run(engine, fails=True)
    for step in range(4):  # before, at and after the ends have settled
        figures = shown(engine)
        assert (figures.completed, figures.failed) == (1, 1), step
        assert sum(figures.run_ms.buckets.values()) == 2, step
        count(engine)
        engine.now += rules.SETTLED / 2
    assert stored_hours(engine) == 1
    run(engine)
    assert (shown(engine).completed, stored_hours(engine)) == (2, 1)
    engine.now += timedelta(hours=1)
    run(engine)
    engine.now += rules.SETTLED * 2
    count(engine)
    assert stored_hours(engine) == 2
    with db.reading() as tx:
        found = function_figures.history(tx, function_id, rules.first_hour(engine.now))
        assert [one.runs for one in found.by_hour.values()] == [3, 1]
        waited = next(iter(found.by_hour.values())).queue_ms.percentile(0.5)
        assert function_figures.history(tx, "none", engine.now).by_hour == {}
        assert list(function_figures.last_runs(tx)) == [function_id]
    assert waited is not None
    assert 950 < waited < 1050


class Held(Committer):
    """Writes an answer ten minutes late, as after an outage; upkeep counts up to then."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine.ctx.db, shared=False)
        self.engine = engine

    def run(self, *args: Any) -> Any:
        """Commit the write late."""
        self.engine.now += timedelta(minutes=10)
        count(self.engine)
        return super().run(*args)


def test_ends_that_an_outage_held_back_are_counted(db: Database) -> None:
    engine = Engine(db, fails_when_told)
    run(engine)
    engine.now += rules.SETTLED * 2
    count(engine)
    run_id = engine.start()
    engine.ctx.committer = Held(engine)
    engine.drain()
    ended = engine.run(run_id)
    assert ended["ended_at"] == engine.now
    for _ in range(2):  # before it has settled, and after
        assert shown(engine).completed == 2
        engine.now += rules.SETTLED * 2
        count(engine)


def begun(engine: Engine, function_id: str) -> list[int]:
    """Read how many runs began in each hour of the last day in which some did."""
    with engine.ctx.db.reading() as tx:
        since = rules.first_hour(engine.now)
        found = function_figures.history(tx, function_id, since).by_hour
        return [found[hour].begun for hour in sorted(found) if found[hour].begun]


def test_runs_that_begin_are_counted_beside_those_that_end(db: Database) -> None:
    engine = Engine(db, sleeps)
    function_id = run(engine)  # it sleeps
    for step in range(4):  # before, at and after the start has settled
        assert begun(engine, function_id) == [1], step
        count(engine)
        engine.now += rules.SETTLED / 2
    assert stored_hours(engine) == 1
    run(engine)
    engine.advance(hours=3)
    engine.drain()
    assert begun(engine, function_id) == [2]
    engine.now += rules.SETTLED * 2
    count(engine)
    assert begun(engine, function_id) == [2]
    assert shown(engine).completed == 2
    assert stored_hours(engine) == 2


def test_two_processes_that_count_the_same_ends_count_them_once(db: Database) -> None:
    engine = Engine(db, fails_when_told)
    run(engine)
    engine.now += rules.SETTLED * 2
    assert counting.count(engine.ctx)  # it begins
    with db.reading() as tx:
        after = function_hours.counted_to(tx, ENDS)
        assert after is not None
        until = engine.now - rules.SETTLED
        ended = function_hours.ended(tx, after, until)
    count(engine)
    with db.transaction() as tx:  # the other, which has read the same ends
        assert not function_hours.move_on(tx, ENDS, after, until)
        function_hours.begin(tx, ENDS, after)
    assert len(ended) == 1
    assert not counting.count(engine.ctx)
    assert shown(engine).completed == 1


def test_old_runs_are_counted_slice_by_slice(db: Database) -> None:
    engine = Engine(db, fails_when_told)
    for _ in range(7):
        run(engine)
    assert shown(engine, most=3).completed == 3
    with db.reading() as tx:
        found = function_figures.counts(tx, rules.first_hour(engine.now), 3)
    assert found.counted_to is not None
    engine.now += rules.SETTLED * 2
    assert count(engine, most=3) == 4  # the beginning, and three slices
    assert shown(engine).completed == 7
    service = Resting(counting.count)
    assert not service.run_once(engine.ctx)
    assert service.delay(engine.ctx, counting.EVERY) == counting.EVERY


def test_old_hours_are_deleted(db: Database) -> None:
    engine = Engine(db, fails_when_told)
    run(engine)
    engine.now += rules.SETTLED * 2
    count(engine)
    engine.now += forgetting.KEPT - timedelta(hours=2)
    assert not forgetting.run_once(engine.ctx)
    assert stored_hours(engine) == 1
    engine.now += timedelta(hours=3)
    assert not forgetting.run_once(engine.ctx)
    assert stored_hours(engine) == 0
