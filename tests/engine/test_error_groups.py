"""Error groups: failed runs are counted by their causes, whatever their attempts."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import RowMapping

from inngest_py.domain.errors import Invalid, NotFound
from inngest_py.domain.reply.read import Reply
from inngest_py.domain.reports import error_groups as rules
from inngest_py.domain.reports.error_groups import ErrorState
from inngest_py.engine.admin import error_states, rerun
from inngest_py.engine.runtime.audit import Actor
from inngest_py.engine.upkeep.errors import forgetting, grouping, old_failures
from inngest_py.storage.db.session import Database
from inngest_py.storage.queries.errors import failed_runs, groups
from inngest_py.storage.queries.errors.groups import ErrorQuery
from inngest_py.storage.runs import failed_runs as stored_failures
from tests.engine.flow import rows
from tests.engine.harness import Engine, sequence
from tests.factories import op, reply

ANN = Actor("ann")
STACK = 'Traceback:\n  File "/srv/r{0}/shop/stock.py", line {0}, in reserve\n    x\n'


def fails(message: str = "order {n} is gone", name: str = "OutOfStock") -> Callable[..., Reply]:
    """Script a function that fails outside of steps; `n` of its event is in the message."""

    def script(request: dict[str, Any], target: str) -> Reply:
        n = request["event"]["data"]["n"]
        return reply(500, {"name": name, "message": message.format(n=n)})

    return script


def fails_in_step(request: dict[str, Any], target: str) -> Reply:
    """Fail for good in the second pass of a loop, and let the function raise that again."""
    n = request["event"]["data"]["n"]
    error = {"name": "OutOfStock", "message": f"no {n} left", "stack": STACK.format(n)}
    if not request["steps"]:
        return reply(
            206,
            [op("StepFailed", f"reserve-{n}", error=error)],
            x_inngest_req_version="2",
        )
    raised = {"code": "step_errored", "name": "StepError", "message": f"no {n} left", "stack": ""}
    return reply(500, raised, x_inngest_no_retry="true")


def fail(engine: Engine, *numbers: int) -> list[str]:
    """Start runs, let them fail with all their attempts, and group them."""
    started = []
    for n in numbers:
        engine.now += timedelta(milliseconds=1)  # ids of one moment are in no order
        started.append(engine.start(data={"n": n}))
    engine.drain()
    for _ in range(3):
        engine.advance(seconds=6)
    assert {engine.run(run_id)["status"] for run_id in started} == {"failed"}
    grouping.group(engine.ctx)
    return started


def listed(engine: Engine, order: str = "last_seen", **query: Any) -> Sequence[RowMapping]:
    with engine.ctx.db.reading() as tx:
        by = groups.ORDERS[order]
        return groups.page(tx, ErrorQuery(**query), engine.now, by, first=100).rows


def test_runs_are_counted_once_and_by_their_cause(db: Database) -> None:
    engine = Engine(db, fails())
    first, second = fail(engine, 1, 22)
    [found] = listed(engine)
    assert (found["runs"], found["name"], found["step"]) == (2, "OutOfStock", None)
    assert (found["cause"], found["message"]) == ("order # is gone", "order 22 is gone")
    assert (found["function_slug"], found["app_name"]) == ("app-fn", "app")
    assert (found["state"], found["latest_run_id"]) == ("open", second)
    assert found["first_seen"] <= found["last_seen"] <= engine.now
    engine.sdk.script = fails("no route to host")
    fail(engine, 3)
    engine.sdk.script = fails("order {n} is gone", name="Timeout")
    fail(engine, 4)
    assert [row["runs"] for row in listed(engine)] == [1, 1, 2]
    with db.reading() as tx:
        newest = failed_runs.newest(tx, found["id"], 10)
        assert [row["id"] for row in newest] == [second, first]
        assert failed_runs.error_of(tx, first) == found["id"]
        assert failed_runs.error_of(tx, "nobody") is None


def test_a_function_that_raises_its_steps_error_failed_at_that_step(db: Database) -> None:
    engine = Engine(db, fails_in_step)
    fail(engine, 1, 2)
    [found] = listed(engine)
    assert (found["runs"], found["step"], found["name"]) == (2, "reserve", "OutOfStock")
    assert found["frames"] == '["shop/stock.py:reserve"]'


def test_retries_count_when_the_run_has_failed(db: Database) -> None:
    engine = Engine(db, fails())
    engine.start(data={"n": 1})
    engine.drain()
    grouping.group(engine.ctx)
    assert listed(engine) == []


def test_runs_that_end_well_write_nothing(db: Database) -> None:
    engine = Engine(db, lambda request, target: reply(200, {}))
    engine.start(data={"n": 1})
    engine.drain()
    assert rows(db, "SELECT * FROM failed_runs") == []
    assert not engine.ctx.failed_runs.lately


def test_hours_and_versions_are_counted(db: Database) -> None:
    engine = Engine(db, fails())
    fail(engine, 1, 2)
    engine.now += timedelta(hours=2)
    fail(engine, 3)
    [found] = listed(engine)
    with db.reading() as tx:
        counted = groups.by_hour(tx, [found["id"]], rules.first_day(engine.now))[found["id"]]
        [version] = groups.versions(tx, found["id"])
    assert rules.last_hours(counted, engine.now)[-3:] == [2, 0, 1]
    assert rules.last_days(counted, engine.now) == [0] * 6 + [3]
    assert (version["sdk"], version["runs"]) == ("js v4.0.0", 3)
    assert len(version["sync"]) == 12
    assert rules.is_new_since(found["first_seen"], found["synced_at"])


def state_of(engine: Engine) -> tuple[str, datetime | None]:
    [found] = listed(engine)
    return found["state"], found["regressed_at"]


def test_a_resolved_group_opens_again_for_runs_that_started_later(db: Database) -> None:
    engine = Engine(db, fails())
    late = engine.start(data={"n": 0})
    engine.drain()
    fail(engine, 1)
    [found] = listed(engine)
    engine.now += timedelta(seconds=1)
    error_states.change(engine.ctx, found["id"], ErrorState.RESOLVED, ANN)
    assert [row["changed_by"] for row in listed(engine)] == ["ann"]
    assert engine.run(late)["status"] == "failed"
    with db.transaction() as tx:  # as if another worker had not grouped it yet
        tx.exec_driver_sql(f"UPDATE failed_runs SET error_id = NULL WHERE run_id = '{late}'")
    grouping.group(engine.ctx)
    assert state_of(engine) == ("resolved", None)
    engine.now += timedelta(seconds=1)
    fail(engine, 2)
    state, regressed_at = state_of(engine)
    assert state == "open"
    assert regressed_at is not None
    assert regressed_at <= engine.now


def test_a_muted_group_stays_muted_until_its_time(db: Database) -> None:
    engine = Engine(db, fails())
    fail(engine, 1)
    [found] = listed(engine)
    until = engine.now + timedelta(hours=1)
    error_states.change(engine.ctx, found["id"], ErrorState.MUTED, ANN, until)
    fail(engine, 2)
    assert state_of(engine)[0] == "muted"
    assert listed(engine, states=[ErrorState.OPEN]) == []
    engine.now = until
    assert state_of(engine)[0] == "open"
    assert len(listed(engine, states=[ErrorState.OPEN])) == 1
    acts = rows(db, "SELECT name, action, target, detail FROM audit")
    assert acts == [("ann", "error.mute", found["id"], f"until {until.isoformat()}")]
    with db.reading() as tx:
        counted = groups.counts(tx, ErrorQuery(), engine.now)
    assert counted == {ErrorState.OPEN: 1, ErrorState.MUTED: 0, ErrorState.RESOLVED: 0}


def test_bad_changes_are_refused(db: Database) -> None:
    engine = Engine(db, fails())
    fail(engine, 1)
    [found] = listed(engine)
    past, later = engine.now, engine.now + timedelta(hours=1)
    with pytest.raises(Invalid, match="has passed"):
        error_states.change(engine.ctx, found["id"], ErrorState.MUTED, ANN, past)
    with pytest.raises(Invalid, match="leave it out"):
        error_states.change(engine.ctx, found["id"], ErrorState.OPEN, ANN, later)
    with pytest.raises(NotFound, match="does not exist"):
        error_states.change(engine.ctx, "0" * 26, ErrorState.OPEN, ANN)
    assert rows(db, "SELECT * FROM audit") == []


def test_runs_that_were_run_again_are_not_still_failed(db: Database) -> None:
    engine = Engine(db, fails())
    first, second, third = fail(engine, 1, 2, 3)
    [found] = listed(engine)
    rerun.rerun(engine.ctx, second)
    with db.reading() as tx:
        assert failed_runs.failed_runs_of_error(tx, found["id"], None, 10) == [first, third]
        assert failed_runs.failed_runs_of_error(tx, found["id"], first, 10) == [third]
        assert failed_runs.failed_runs_of_error(tx, found["id"], None, 1) == [first]
        assert failed_runs.count_still_failed(tx, found["id"], 10) == 2


def test_a_function_with_too_many_causes_gets_one_group_for_the_rest(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "MOST_OF_FUNCTION", 2)
    engine = Engine(db, lambda request, target: reply(500, request["event"]["data"]))
    for word in ("a", "b", "c", "d"):
        engine.start(data={"name": word, "message": word})
    engine.drain()
    for _ in range(3):
        engine.advance(seconds=6)
    grouping.group(engine.ctx)
    counted = {row["name"]: row["runs"] for row in listed(engine)}
    assert counted.pop("Other errors") == 2
    assert len(counted) == 2


def test_groups_go_when_nothing_is_left_of_them(db: Database) -> None:
    engine = Engine(db, fails())
    [run_id] = fail(engine, 1)
    [found] = listed(engine)
    engine.now += forgetting.KEPT + timedelta(hours=2)
    forgetting.run_once(engine.ctx)
    assert rows(db, "SELECT * FROM error_hours") == []
    assert len(listed(engine)) == 1  # its run is still there
    with db.transaction() as tx:
        tx.exec_driver_sql(f"DELETE FROM failed_runs WHERE run_id = '{run_id}'")
    error_states.change(engine.ctx, found["id"], ErrorState.MUTED, ANN)
    forgetting.run_once(engine.ctx)
    assert len(listed(engine)) == 1  # muted for ever
    error_states.change(engine.ctx, found["id"], ErrorState.OPEN, ANN)
    forgetting.run_once(engine.ctx)
    assert listed(engine) == []
    assert rows(db, "SELECT * FROM error_versions") == []


def test_failed_runs_that_are_gone_are_forgotten(db: Database) -> None:
    engine = Engine(db, fails())
    [run_id] = fail(engine, 1)
    with db.transaction() as tx:
        tx.exec_driver_sql("UPDATE failed_runs SET error_id = NULL")
        tx.exec_driver_sql(f"UPDATE failed_runs SET run_id = '{'0' * 26}'")
    assert not grouping.group(engine.ctx)
    assert rows(db, "SELECT * FROM failed_runs") == []
    assert run_id


def forget_groups(db: Database) -> None:
    """Leave failed runs as a server leaves them that knows no groups."""
    with db.transaction() as tx:
        for table in ("failed_runs", "error_hours", "error_versions", "error_groups"):
            tx.exec_driver_sql(f"DELETE FROM {table}")
        tx.exec_driver_sql("DELETE FROM meta WHERE key = 'failures_grouped_since'")


def test_runs_that_failed_before_are_grouped_newest_first(db: Database) -> None:
    engine = Engine(db, fails())
    old = [fail(engine, n)[0] for n in range(1, 6)]
    engine.sdk.script = sequence("one")
    engine.start(data={"n": 6})
    engine.drain()
    [before] = listed(engine)
    forget_groups(db)
    engine.now += timedelta(seconds=1)
    engine.register(retries=1)  # a deploy: the version of those runs is not known any more
    engine.sdk.script = fails("no route")
    [new] = fail(engine, 7)  # it fails while they have no groups
    slices = 0
    while old_failures.group_older(engine.ctx, 2):
        slices += 1
        noted = {row[0] for row in rows(db, "SELECT run_id FROM failed_runs")}
        assert noted == {new, *old[-2 * slices :]}
    assert slices == 2
    by_cause = {row["cause"]: row for row in listed(engine)}
    after = by_cause["order # is gone"]
    for name in ("runs", "first_seen", "last_seen", "latest_run_id", "message", "state"):
        assert after[name] == before[name], name
    assert by_cause["no route"]["runs"] == 1
    [version] = rows(db, f"SELECT sdk FROM error_versions WHERE error_id = '{after['id']}'")
    assert version[0] == ""
    assert not old_failures.group_older(engine.ctx, 2)
    assert sum(row["runs"] for row in listed(engine)) == 6


def test_old_failures_of_one_moment_are_each_grouped_once(db: Database) -> None:
    engine = Engine(db, fails())
    for _ in range(5):
        engine.start(data={"n": 1})
    engine.drain()
    engine.advance(seconds=6)
    engine.advance(seconds=6)
    grouping.group(engine.ctx)
    forget_groups(db)
    while old_failures.group_older(engine.ctx, 2):
        pass
    assert [row["runs"] for row in listed(engine)] == [5]


def test_of_two_workers_one_does_a_slice_of_old_failures(db: Database) -> None:
    engine = Engine(db, fails())
    fail(engine, 1, 2)
    forget_groups(db)
    assert old_failures.group_older(engine.ctx, 1)
    with db.transaction() as tx:
        since_ms = stored_failures.grouped_since(tx)
        assert not stored_failures.move_on(tx, None, 1)
        assert since_ms is not None
        assert not stored_failures.move_on(tx, since_ms + 1, 1)
    assert [row["runs"] for row in listed(engine)] == [1]
