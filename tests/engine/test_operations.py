"""Operations: many runs rerun or cancelled in the background, resumed, paused and paced."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from inngest_py.domain.errors import Conflict, InngestPyError, NotFound
from inngest_py.domain.operations import operations as rules
from inngest_py.domain.operations import pacing
from inngest_py.engine.admin import rerun as reruns
from inngest_py.engine.operations import acts, manage, walk
from inngest_py.engine.runtime.audit import Actor
from inngest_py.engine.upkeep import leftovers
from inngest_py.engine.upkeep.operations import EVERY, Operations
from inngest_py.storage.db.session import Database
from inngest_py.storage.operations import operations as rows
from inngest_py.storage.queries import audit_log, timeline_rows
from inngest_py.storage.queries.operations import operation_list
from inngest_py.storage.runs import runs
from tests.engine import flow
from tests.engine.harness import Engine, sequence
from tests.factories import op, reply


def failing(request: dict[str, Any], target: str) -> Any:
    return reply(400, {"name": "Error", "message": "no stock"}, x_inngest_no_retry="true")


def failed_runs(engine: Engine, number: int) -> list[str]:
    engine.sdk.script = failing
    found = []
    for n in range(number):
        found.append(engine.start(data={"n": n}))
        engine.now += timedelta(milliseconds=1)  # ids sort by the time
    engine.drain()
    engine.now += timedelta(seconds=1)
    engine.sdk.script = sequence("a")
    return found


def begin(engine: Engine, kind: str = "rerun", rate: float | None = None, **selection: Any) -> str:
    body = {"kind": kind, "selection": selection or {"status": ["failed"]}, "rate": rate}
    return manage.begin(engine.ctx, rules.parse(body, engine.now), Actor("ann"))


def shown(engine: Engine, operation_id: str) -> Any:
    with engine.ctx.db.reading() as tx:
        return operation_list.get(tx, operation_id)


def results(engine: Engine, operation_id: str) -> list[Any]:
    with engine.ctx.db.reading() as tx:
        return operation_list.results(tx, operation_id, first=1000).rows


def change(engine: Engine, operation_id: str, **body: Any) -> Any:
    return manage.change(engine.ctx, operation_id, rules.parse_change(body), Actor("ann"))


def finish(engine: Engine) -> None:
    while walk.next_chunk(engine.ctx):
        pass


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a chunk have three items."""
    monkeypatch.setattr(pacing, "MOST_AT_ONCE", 3)


@pytest.mark.usefixtures("small")
def test_failed_runs_run_again_and_say_so(db: Database) -> None:
    engine = Engine(db, sequence("a"), retries=0)
    old = failed_runs(engine, 7)
    made = begin(engine)
    assert shown(engine, made)["name"] == "Run again 7 failed runs"
    assert shown(engine, made)["begun_by"] == "ann"
    finish(engine)
    engine.drain()
    row = shown(engine, made)
    told = (row["state"], row["total"], row["total_exact"], row["succeeded"], row["skipped"])
    assert told == ("completed", 7, True, 7, 0)
    found = results(engine, made)
    assert [one["id"] for one in found] == old
    assert [engine.run(one["run_id"])["original_run_id"] for one in found] == old
    assert {(one["was"], one["status"], one["function_slug"]) for one in found} == {
        ("failed", "completed", "app-fn")
    }
    with db.reading() as tx:
        assert operation_list.statuses(tx, made) == {"completed": 7}
        last = operation_list.last_reruns(tx, old)
        of = operation_list.of_run(tx, found[0]["run_id"])
        acted = [one["action"] for one in audit_log.page(tx, first=10, after=None).rows]
    assert of is not None and (of["id"], of["item_id"]) == (made, old[0])
    assert {key: one["status"] for key, one in last.items()} == dict.fromkeys(old, "completed")
    assert {one["operation_id"] for one in last.values()} == {made}
    assert acted.count("operation.rerun") == 1 and "run.rerun" not in acted
    assert Counter(flow.statuses(engine)) == {"failed": 7, "completed": 7}


@pytest.mark.usefixtures("small")
def test_what_it_makes_itself_is_not_selected(db: Database) -> None:
    engine = Engine(db, failing, retries=0)
    failed_runs(engine, 4)
    made = begin(engine)
    before = engine.now
    engine.ctx.real_clock = lambda: before
    engine.now -= timedelta(milliseconds=1)  # the clock of the server that continues is behind
    engine.sdk.script = failing
    for _ in range(10):
        walk.next_chunk(engine.ctx)
        engine.drain()
        engine.now += timedelta(microseconds=100)
    assert shown(engine, made)["succeeded"] == 4
    assert Counter(flow.statuses(engine)) == {"failed": 8}


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("dies", ["before", "after"])
def test_a_worker_that_dies_in_a_chunk_leaves_nothing_done_twice(
    db: Database, monkeypatch: pytest.MonkeyPatch, dies: str
) -> None:
    engine = Engine(db, sequence("a"), retries=0)
    old = failed_runs(engine, 5)
    made = begin(engine)

    class Killed(BaseException):
        """Nothing catches it, as nothing catches a kill."""

    def die(*given: Any) -> Any:
        raise Killed

    with monkeypatch.context() as patched:
        if dies == "before":  # its chunk is written, but not its progress
            patched.setattr(rows, "move", die)
        else:  # all is committed, but nothing sent
            patched.setattr(acts.Acted, "send", die)
        with pytest.raises(Killed):
            walk.next_chunk(engine.ctx)
    row = shown(engine, made)
    assert row["succeeded"] == (0 if dies == "before" else 3)
    if dies == "before":
        assert not walk.next_chunk(engine.ctx)  # the dead worker has it
        engine.now += walk.LEASE
    finish(engine)
    engine.advance(seconds=5)
    assert [one["id"] for one in results(engine, made)] == old
    assert Counter(flow.statuses(engine)) == {"failed": 5, "completed": 5}


@pytest.mark.usefixtures("small")
def test_a_worker_that_lost_its_lease_writes_nothing(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(db, sequence("a"), retries=0)
    failed_runs(engine, 5)
    made = begin(engine)
    look = walk._next

    def slow(*given: Any) -> Any:
        found = look(*given)
        monkeypatch.setattr(walk, "_next", look)
        engine.now += walk.LEASE
        assert walk.next_chunk(engine.ctx)  # another worker takes it over
        return found

    monkeypatch.setattr(walk, "_next", slow)
    walk.next_chunk(engine.ctx)
    assert (shown(engine, made)["succeeded"], len(results(engine, made))) == (3, 3)
    finish(engine)
    assert (shown(engine, made)["succeeded"], len(results(engine, made))) == (5, 5)


@pytest.mark.usefixtures("small")
def test_pause_resume_and_cancel(db: Database) -> None:
    engine = Engine(db, sequence("a"), retries=0)
    failed_runs(engine, 8)
    made = begin(engine)
    walk.next_chunk(engine.ctx)
    change(engine, made, state="paused")
    finish(engine)
    assert (shown(engine, made)["state"], shown(engine, made)["succeeded"]) == ("paused", 3)
    change(engine, made, state="running")
    walk.next_chunk(engine.ctx)
    row = change(engine, made, state="cancelled")
    assert (row["state"], row["succeeded"], row["ended_at"]) == ("cancelled", 6, engine.now)
    finish(engine)
    assert shown(engine, made)["succeeded"] == 6
    for body in ({"state": "running"}, {"rate": 5}):
        with pytest.raises(Conflict, match=r"has ended \(cancelled\): begin another one"):
            change(engine, made, **body)
    with pytest.raises(NotFound):
        change(engine, "01JD0000000000000000000000", state="paused")


def test_a_rate_is_kept_and_may_be_changed(db: Database) -> None:
    engine = Engine(db, sequence("a"), retries=0)
    failed_runs(engine, 30)
    made = begin(engine, rate=4)
    workers, start = [Operations(), Operations()], engine.now
    while (row := shown(engine, made))["succeeded"] < 12:
        found = [worker.run_once(engine.ctx) for worker in workers]
        assert found.count(True) <= 1
        waits = [worker.delay(engine.ctx, EVERY) for worker in workers]
        engine.now += min(waits)
        spent = (engine.now - start).total_seconds()
        assert spent * 4 - 4 <= shown(engine, made)["succeeded"] <= spent * 4 + 4
    assert row["state"] == "running"
    change(engine, made, rate=None)
    finish(engine)
    assert shown(engine, made)["state"] == "completed"


def test_an_item_that_fails_or_is_refused_stops_no_other(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(db, sequence("a"), retries=0)
    old = failed_runs(engine, 5)
    write = reruns.write

    def broken(tx: Any, ctx: Any, run_id: str, *more: Any) -> Any:
        if run_id == old[1]:
            raise InngestPyError("its event is gone")
        made = write(tx, ctx, run_id, *more)
        if run_id == old[3]:  # after it has written
            raise ValueError("a bug")
        return made

    monkeypatch.setattr(reruns, "write", broken)
    made = begin(engine)
    finish(engine)
    row = shown(engine, made)
    assert (row["state"], row["succeeded"], row["skipped"], row["failed"]) == ("completed", 3, 1, 1)
    found = {one["id"]: (one["outcome"], one["reason"]) for one in results(engine, made)}
    assert found[old[1]] == ("skipped", "its event is gone")
    assert found[old[3]][0] == "failed" and "ValueError" in found[old[3]][1]
    with db.reading() as tx:
        assert {row["reason"] for row in operation_list.reasons(tx, made)} == {
            reason for _, reason in found.values() if reason
        }
    engine.drain()
    assert Counter(flow.statuses(engine)) == {"failed": 5, "completed": 3}


def test_live_runs_are_cancelled(db: Database) -> None:
    engine = Engine(db, lambda request, target: reply(206, [op("Sleep", "nap", name="1h")]))
    slept = sorted(engine.start(data={"n": n}) for n in (2, 2, 3, 3))
    other = engine.start(data={"n": 1})
    engine.drain()
    engine.now += timedelta(seconds=1)
    made = begin(engine, "cancel", status=["sleeping"], cel="event.data.n > 1")
    assert shown(engine, made)["name"] == "Cancel 4 sleeping runs"
    later = engine.start(data={"n": 3})
    engine.drain()
    finish(engine)
    assert {engine.run(run_id)["status"] for run_id in slept} == {"cancelled"}
    assert [engine.run(run_id)["status"] for run_id in (other, later)] == ["running", "running"]
    assert [one["id"] for one in results(engine, made)] == slept
    with engine.ctx.db.reading() as tx:
        *_, why = timeline_rows.attempts_of(tx, slept[2])
    assert f"Cancelled by the operation Cancel 4 sleeping runs ({made})." in why["error"]


def test_filters_by_text_and_function(db: Database) -> None:
    engine = Engine(db, sequence("a"), retries=0)
    old = failed_runs(engine, 3)
    asked = {"function": "app-fn", "text": '"n":1'}
    found = manage.preview(
        engine.ctx, rules.parse({"kind": "rerun", "selection": asked}, engine.now)
    )
    assert (found.counted.total, found.counted.exact) == (1, True)
    made = begin(engine, **asked)
    finish(engine)
    assert [one["id"] for one in results(engine, made)] == [old[1]]
    with pytest.raises(NotFound, match="there is no function nobody"):
        begin(engine, function="nobody")


def test_a_selection_whose_function_is_gone_fails_and_says_why(db: Database) -> None:
    engine = Engine(db, sequence("a"), retries=0)
    failed_runs(engine, 1)
    made = begin(engine, function="app-fn")
    with db.transaction() as tx:
        tx.exec_driver_sql("UPDATE functions SET slug = 'other'")
    finish(engine)
    row = shown(engine, made)
    assert (row["state"], row["reason"]) == (
        "failed",
        "there is no function app-fn: name one that is registered",
    )


def test_twenty_thousand_are_walked_by_index(db: Database) -> None:
    engine = Engine(db, sequence("a"), retries=0)
    [old] = failed_runs(engine, 1)
    with db.transaction() as tx:
        row = dict(tx.execute(select(runs.RunRow.__table__)).mappings().one())
        runs.add(tx, [row | {"id": f"{old[:20]}{n:06}"} for n in range(19_999)])
    made = begin(engine)
    assert shown(engine, made)["total"] == 20_000
    for _ in range(3):
        assert walk.next_chunk(engine.ctx)
    row = shown(engine, made)
    assert (row["state"], row["succeeded"]) == ("running", 150)
    found = results(engine, made)
    assert len({one["run_id"] for one in found}) == len(found) == 150
    change(engine, made, state="cancelled")


def test_old_operations_are_deleted(db: Database) -> None:
    engine = Engine(db, sequence("a"), retries=0)
    failed_runs(engine, 3)
    made = begin(engine)
    finish(engine)
    assert not leftovers.forget_operations(engine.ctx)
    engine.now += timedelta(days=91)
    while leftovers.forget_operations(engine.ctx):
        pass
    assert shown(engine, made) is None
    with db.reading() as tx:
        assert tx.execute(text("SELECT count(*) FROM operation_items")).scalar() == 0
