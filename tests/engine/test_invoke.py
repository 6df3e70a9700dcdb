"""Invoking functions by API."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from inngest_py.domain.errors import Conflict, InngestPyError, Invalid, NotFound
from inngest_py.engine.intake.invoke import invoke, wait
from inngest_py.engine.runtime.group_commit import Committer
from inngest_py.storage.db.session import Database
from inngest_py.storage.queries import function_list
from tests.engine.harness import Engine, sequence
from tests.factories import RUN_ID


def _uuid(engine: Engine) -> str:
    with engine.ctx.db.reading() as tx:
        return str(function_list.every(tx)[0]["id"])


def test_by_slug_and_by_id(db: Database) -> None:
    engine = Engine(db, sequence("a"))
    for name in ("app-fn", _uuid(engine)):
        done = invoke(engine.ctx, name, {"data": {"n": 1}, "user": {"u": 2}}, 20)
        engine.drain()
        assert done.run_id is not None
        assert engine.run(done.run_id)["status"] == "completed"
        event = engine.sdk.requests[-1]["event"]
        assert event["name"] == "inngest/function.invoked"
        assert event["data"] == {"n": 1, "_inngest": {"fn_id": "app-fn"}}
        assert event["user"] == {"u": 2}


def test_wait(db: Database) -> None:
    engine = Engine(db, sequence("a"))
    done = invoke(engine.ctx, "app-fn", {}, 2)
    assert done.run_id is not None
    row = wait(engine.ctx, done.run_id, timedelta(0))
    assert row is not None
    assert row["status"] == "queued"
    thread = threading.Thread(target=engine.drain)
    thread.start()
    row = wait(engine.ctx, done.run_id, timedelta(seconds=20))
    thread.join()
    assert row is not None
    assert (row["status"], row["output"]) == ("completed", '{"done":1}')
    assert wait(engine.ctx, RUN_ID, timedelta(seconds=20)) is None


@pytest.mark.parametrize("shared", [False, True])
def test_a_key_runs_once(db: Database, shared: bool) -> None:
    engine = Engine(db, sequence("a"))
    engine.ctx.committer = Committer(db, shared=shared)
    results: list[Any] = []

    def call() -> None:
        try:
            results.append(invoke(engine.ctx, "app-fn", {}, 2, idempotency_key="k"))
        except InngestPyError as error:
            results.append(error)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused = [item for item in results if isinstance(item, Conflict)]
    (done,) = [item for item in results if item not in refused]
    assert len(refused) == 3
    assert all(done.run_id in error.message for error in refused)
    assert refused[0].code == "idempotency_conflict"
    with db.reading() as tx:
        assert tx.execute(text("SELECT count(*) FROM events")).scalar() == 1
        assert tx.execute(text("SELECT count(*) FROM runs")).scalar() == 1
    engine.advance(hours=25)
    assert invoke(engine.ctx, "app-fn", {}, 2, idempotency_key="k").run_id != done.run_id


def test_calls_that_share_a_commit_get_runs_of_their_own(db: Database) -> None:
    engine = Engine(db, sequence("a"))
    engine.ctx.committer = Committer(db)
    started: dict[int, str | None] = {}

    def call(number: int) -> None:
        started[number] = invoke(engine.ctx, "app-fn", {"data": {"n": number}}, 20).run_id

    threads = [threading.Thread(target=call, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    engine.drain()
    ran = {request["ctx"]["run_id"]: request["event"]["data"] for request in engine.sdk.requests}
    assert {run_id: data["n"] for run_id, data in ran.items()} == {
        run_id: number for number, run_id in started.items()
    }


@pytest.mark.parametrize(
    ("name", "payload", "error"),
    [
        ("app-none", {}, NotFound),
        ("", {}, NotFound),
        ("app-fn", {"data": []}, Invalid),
        ("app-fn", {"user": 1}, Invalid),
        ("app-fn", {"data": {"a": "\ud800"}}, Invalid),
    ],
)
def test_refused(
    db: Database, name: str, payload: dict[str, Any], error: type[InngestPyError]
) -> None:
    engine = Engine(db, sequence("a"))
    with pytest.raises(error):
        invoke(engine.ctx, name, payload, 10)


def test_what_the_database_refuses_is_no_invocation(db: Database) -> None:
    engine = Engine(db, sequence("a"))
    refuse = (
        "CREATE TRIGGER no_runs BEFORE INSERT ON runs BEGIN SELECT RAISE(ABORT, 'no'); END"
        if db.is_sqlite
        else "ALTER TABLE runs ADD CONSTRAINT no_runs CHECK (false) NOT VALID"
    )
    with db.transaction() as tx:
        tx.execute(text(refuse))
    with pytest.raises(IntegrityError):
        invoke(engine.ctx, "app-fn", {}, 2)
