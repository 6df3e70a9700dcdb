"""Items that begin in the process that stores them: claimed in the same transaction, on SQLite."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from inngest_py import observe
from inngest_py.config_reading import load
from inngest_py.domain.runs.items import ItemKind
from inngest_py.engine.admin import pause_function
from inngest_py.engine.intake import publish
from inngest_py.engine.runtime.context import Context, Hint, NoHints
from inngest_py.engine.runtime.group_commit import Committer
from inngest_py.engine.work import claims, run_item
from inngest_py.engine.work.claims import Claimed, claim_stored
from inngest_py.storage.db.session import Database
from inngest_py.tasks.items import Runner
from inngest_py.tasks.runtime import Runtime
from tests.databases import copied
from tests.engine.harness import Engine, sequence, stored_events
from tests.engine.shop import Shop, add


class Claims:
    """Claims all that it gets, and keeps the jobs for a test to run."""

    def __init__(self) -> None:
        self.begun: list[Claimed] = []
        self.ends = 0

    def claim(self, tx: Connection, ctx: Context, hints: Sequence[Hint]) -> list[Hint]:
        return claim_stored(tx, ctx, hints, self._begin)

    def _begin(self, jobs: Sequence[Claimed]) -> None:
        self.begun += jobs
        self.ends += 1

    def run(self, ctx: Context) -> None:
        while self.begun:
            run_item.run_job(ctx, self.begun.pop(0))


@pytest.fixture
def sqlite(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with copied(request, "sqlite", tmp_path) as made:
        yield made


def at_once(engine: Engine) -> Claims:
    made = Claims()
    engine.ctx.at_once = made
    return made


def items(engine: Engine, run_id: str) -> list[tuple[str, str]]:
    return [(row["kind"], row["state"]) for row in engine.queued(run_id)]


def test_run_begins_without_a_hint(sqlite: Database) -> None:
    engine = Engine(sqlite, sequence("a"))
    here = at_once(engine)
    run_id = engine.start()
    assert engine.hinted.hints == []
    assert items(engine, run_id) == [("start", "leased")]
    assert len(engine.ctx.leases) == 1, "else no heartbeat extends its lease"
    here.run(engine.ctx)
    assert engine.run(run_id)["status"] == "completed"
    assert len(engine.sdk.requests) == 2
    assert len(engine.ctx.leases) == 0


def test_lost_start_is_run_when_its_lease_lapses(sqlite: Database) -> None:
    """The process may end between the commit and the run's first request."""
    engine = Engine(sqlite, sequence("a"))
    here = at_once(engine)
    run_id = engine.start()
    here.begun.clear()
    engine.ctx.at_once = None
    engine.lapse()
    assert engine.run(run_id)["status"] == "completed"
    assert len(engine.sdk.requests) == 2


def test_limit_of_concurrency_holds(sqlite: Database) -> None:
    engine = Engine(sqlite, sequence(), concurrency=[{"limit": 1}])
    here = at_once(engine)
    runs = [engine.start() for _ in range(3)]
    assert [items(engine, run_id)[0][1] for run_id in runs] == ["leased", "waiting", "waiting"]
    for _ in runs:
        here.run(engine.ctx)
        engine.drain()
    assert {engine.run(run_id)["status"] for run_id in runs} == {"completed"}
    assert len(engine.sdk.requests) == 3


def test_throttle_holds(sqlite: Database) -> None:
    engine = Engine(sqlite, sequence(), throttle={"limit": 1, "period": "60s"})
    here = at_once(engine)
    first, second = engine.start(), engine.start()
    here.run(engine.ctx)
    engine.drain()
    assert [engine.run(one)["status"] for one in (first, second)] == ["completed", "queued"]
    engine.advance(seconds=61)
    here.run(engine.ctx)
    assert engine.run(second)["status"] == "completed"


def test_paused_function_begins_nothing(sqlite: Database) -> None:
    engine = Engine(sqlite, sequence())
    here = at_once(engine)
    pause_function.pause(engine.ctx, "app-fn", "hold")
    run_id = engine.start()
    assert here.begun == []
    assert items(engine, run_id) == [("start", "held")]


def test_events_are_stored_though_their_items_cannot_be_claimed(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(sqlite, sequence())
    here = at_once(engine)

    def fail(tx: Connection, *_: Any) -> None:
        tx.exec_driver_sql("UPDATE queue_items SET state = 'held'")
        raise ValueError("a row that cannot be read")

    with monkeypatch.context() as broken:
        broken.setattr(claims, "_jobs", fail)
        run_id = engine.start()
    assert (here.begun, here.ends) == ([], 1)
    assert items(engine, run_id) == [("start", "ready")]
    engine.drain()
    assert engine.run(run_id)["status"] == "completed"


def test_nothing_begins_of_a_transaction_that_fails(sqlite: Database) -> None:
    engine = Engine(sqlite, sequence())
    here = at_once(engine)
    with pytest.raises(ZeroDivisionError), sqlite.transaction() as tx:
        publish.write_events(tx, engine.ctx, [engine.event()])
        raise ZeroDivisionError
    assert (here.begun, here.ends, len(engine.ctx.leases)) == ([], 1, 0)
    with sqlite.reading() as tx:
        assert stored_events(tx) == []


def test_signals_come_in_order(sqlite: Database) -> None:
    engine, told = Engine(sqlite, sequence()), list[str]()
    at_once(engine)
    listeners = {
        observe.run_queued: lambda **_: told.append("queued"),
        observe.run_started: lambda **_: told.append("started"),
    }
    for signal, listener in listeners.items():
        observe.listen(signal, listener)
    try:
        engine.start()
    finally:
        for signal, listener in listeners.items():
            observe.stop_listening(signal, listener)
    assert told == ["queued", "started"]


def test_runs_of_one_commit_begin_once(sqlite: Database) -> None:
    engine = Engine(sqlite, sequence())
    engine.ctx.committer = Committer(sqlite)
    here = at_once(engine)
    publish.accept(engine.ctx, [engine.event() for _ in range(5)])
    assert len({job.item.id for job in here.begun}) == 5
    here.run(engine.ctx)
    assert len(engine.sdk.requests) == 5


def test_single_task_of_a_celery_app_is_sent_once(sqlite: Database) -> None:
    shop = Shop(sqlite)
    here = at_once(shop)
    run_id = shop.send(add.s(1, 2))
    here.run(shop.ctx)
    [message] = shop.take()
    shop.answer(message)
    assert shop.run(run_id)["status"] == "completed"


def _runner(folder: Path, slots: int) -> Runner:
    url = f"sqlite:///{folder}/unused.db"
    runtime = Runtime(load({"database_url": url, "concurrency": slots, "dev": True}, {}), NoHints())
    return Runner(runtime)


def test_no_more_begin_than_there_are_slots(
    sqlite: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, runner = Engine(sqlite, sequence()), _runner(tmp_path, 2)
    begun: list[Claimed] = []
    monkeypatch.setattr(runner, "_begin", lambda jobs, *_: begun.extend(jobs))
    engine.ctx.at_once = runner
    publish.accept(engine.ctx, [engine.event() for _ in range(3)])
    assert (len(begun), len(engine.hinted.hints)) == (2, 1)
    engine.start()
    assert (len(begun), len(engine.hinted.hints)) == (2, 2)


def test_slots_of_what_was_not_claimed_come_back(
    sqlite: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, runner = Engine(sqlite, sequence(), concurrency=[{"limit": 1}]), _runner(tmp_path, 2)
    begun: list[Claimed] = []
    monkeypatch.setattr(runner, "_begin", lambda jobs, *_: begun.extend(jobs))
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), sqlite.transaction() as tx:
            runner.claim(tx, engine.ctx, [(ItemKind.START, "a"), (ItemKind.START, "none")])
            raise ZeroDivisionError
        with sqlite.transaction() as tx:
            left = runner.claim(tx, engine.ctx, [(ItemKind.START, "none")])
        assert left == []
    assert begun == []
    slots = runner._semaphore()
    assert [slots.acquire(blocking=False) for _ in range(3)] == [True, True, False]


def test_nothing_begins_before_hints_that_wait_for_slots(sqlite: Database, tmp_path: Path) -> None:
    engine, runner = Engine(sqlite, sequence()), _runner(tmp_path, 2)
    runner._runtime.intake.add_waiting(1)
    engine.ctx.at_once = runner
    engine.start()
    assert len(engine.hinted.hints) == 1
