"""Runs that wait for signals, on both databases."""

from datetime import timedelta
from typing import Any

import orjson
import pytest

from inngest_py.domain.errors import Invalid
from inngest_py.engine.intake.waits import signal
from inngest_py.engine.work.end_run import cancel
from inngest_py.storage.db.session import Database
from tests.engine.harness import Engine
from tests.engine.waiting import for_signal, open_waits, waits


def waiting_run(db: Database, **opts: Any) -> tuple[Engine, str]:
    engine = Engine(db, waits(for_signal(**opts)))
    run_id = engine.start()
    engine.drain()
    return engine, run_id


def output(engine: Engine, run_id: str) -> Any:
    return orjson.loads(engine.run(run_id)["output"])


def test_signal_resumes_its_waiter_once(db: Database) -> None:
    engine, run_id = waiting_run(db)
    assert signal(engine.ctx, "other", 1) is None
    assert signal(engine.ctx, "sig", {"ok": True}) == run_id
    assert signal(engine.ctx, "sig", {"ok": False}) is None
    engine.drain()
    assert output(engine, run_id) == [{"data": {"signal": "sig", "data": {"ok": True}}}]


def test_a_signal_times_out_with_null_and_is_not_kept_for_later_waiters(db: Database) -> None:
    engine, run_id = waiting_run(db)
    engine.now += timedelta(hours=1)
    assert signal(engine.ctx, "sig", 1) is None
    engine.advance(seconds=0)
    assert output(engine, run_id) == [None]


@pytest.mark.parametrize("conflict", [None, "fail"])
def test_a_second_waiter_fails_at_once(db: Database, conflict: str | None) -> None:
    engine, first = waiting_run(db, conflict=conflict)
    second = engine.start()
    engine.drain()
    assert engine.run(second)["status"] == "failed"
    assert output(engine, second)["error"] == {
        "error": "Signal conflict; signal wait already exists for another run",
        "message": "Signal conflict; signal wait already exists for another run",
        "name": "Error",
    }
    assert signal(engine.ctx, "sig", 1) == first


def test_a_waiter_that_replaces_leaves_the_other_to_its_time_out(db: Database) -> None:
    engine, first = waiting_run(db, conflict="replace")
    second = engine.start()
    engine.drain()
    assert signal(engine.ctx, "sig", 1) == second
    engine.drain()
    assert engine.run(second)["status"] == "completed"
    assert engine.run(first)["status"] == "running"
    engine.advance(hours=1)
    assert output(engine, first) == [None]


def test_a_signal_is_free_again_when_its_waiter_has_ended(db: Database) -> None:
    engine, first = waiting_run(db)
    cancel(engine.ctx, first)
    assert not open_waits(engine, first)
    second = engine.start()
    engine.drain()
    assert signal(engine.ctx, "sig", 1) == second


def test_a_signal_that_cannot_be_stored_is_refused(db: Database) -> None:
    engine, _ = waiting_run(db)
    deep: Any = 1
    for _ in range(160):
        deep = [deep]
    for name, data in (("", 1), ("a\0", 1), ("x" * 3000, 1), ("sig", deep), ("sig", "x" * 2**23)):
        with pytest.raises(Invalid):
            signal(engine.ctx, name, data)
