"""Processes cache only committed functions, whatever becomes of a transaction."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import event

from inngest_py.domain.functions.registration import parse_registration
from inngest_py.domain.reply.durable_endpoint import parse_new
from inngest_py.domain.values import canonical
from inngest_py.engine.apps import register
from inngest_py.engine.intake import cron_schedules
from inngest_py.engine.intake.cron_schedules import Missed
from inngest_py.engine.work import durable_endpoint
from inngest_py.storage.catalog import crons as cron_rows
from inngest_py.storage.catalog import functions
from inngest_py.storage.db.session import Database
from inngest_py.storage.queries import function_list
from tests.engine.harness import Engine, sequence, stored_runs
from tests.factories import op

RUN = "01JD0000000000000000000005"
URL = "http://localhost:1/clock"


class CommitLostError(Exception):
    """A commit that fails."""


@contextmanager
def commits_lost(db: Database) -> Iterator[None]:
    def lose(_connection: object) -> None:
        raise CommitLostError

    event.listen(db.engine, "commit", lose)
    try:
        yield
    finally:
        event.remove(db.engine, "commit", lose)


def clock(engine: Engine) -> None:
    """Register an app with a cron, as another process."""
    stepped = {"step": {"runtime": {"url": f"{URL}?fnId=clock-x&stepId=step"}}}
    made = {"id": "clock-x", "name": "x", "triggers": [{"cron": "* * * * *"}], "steps": stepped}
    payload = {"appName": "clock", "url": URL, "functions": [made]}
    register.register(engine.ctx, parse_registration(payload))


def begin(engine: Engine) -> None:
    """Write a durable endpoint's run that ends at once, and the events of its end."""
    data = {"domain": "http://localhost:1", "method": "GET", "path": "/o"}
    result = {"status_code": 200, "headers": {}, "body": "x"}
    ops = [op("SyncRunComplete", "complete", data=result)]
    body = {"run_id": RUN, "event": {"name": "x", "data": data}, "steps": ops}
    now_ms = int(engine.now.timestamp() * 1000)
    raw = canonical.dumps(body)
    new = parse_new(raw, now_ms=now_ms, event_id=engine.ctx.new_id(engine.now), sdk="")
    durable_endpoint.create(engine.ctx, new)


def test_sync_that_is_not_committed_loses_no_cron(db: Database) -> None:
    ours, theirs = Engine(db, sequence()), Engine(db, sequence())
    with commits_lost(db), pytest.raises(CommitLostError):
        begin(ours)
    clock(theirs)
    ours.now += timedelta(minutes=1)
    cron_schedules.run_due(ours.ctx, Missed.SKIP)
    with db.reading() as tx:
        assert len(stored_runs(tx)) == 1
        assert cron_rows.first(tx) is not None


def test_schedule_is_read_from_the_database_not_from_a_cache(db: Database) -> None:
    ours, theirs = Engine(db, sequence()), Engine(db, sequence())
    clock(theirs)
    with db.reading() as tx:
        ours.ctx.catalog.version = functions.catalog_version(tx)  # as if it had read them all
    ours.now += timedelta(minutes=1)
    cron_schedules.run_due(ours.ctx, Missed.SKIP)
    with db.reading() as tx:
        assert len(stored_runs(tx)) == 1
        assert cron_rows.first(tx) is not None


def test_a_number_of_the_catalogue_is_never_used_again(db: Database) -> None:
    seen = set()
    for _ in range(3):
        with commits_lost(db), pytest.raises(CommitLostError), db.transaction() as tx:
            functions.renew_catalog_version(tx)
            seen.add(functions.catalog_version(tx))
    with db.transaction() as tx:
        functions.renew_catalog_version(tx)
        seen.add(functions.catalog_version(tx))
    assert len(seen) == 4


def test_a_transaction_that_changes_functions_fills_no_cache(db: Database) -> None:
    engine = Engine(db, sequence())
    with db.transaction() as tx:
        [row] = function_list.every(tx)
        functions.renew_catalog_version(tx)
        with pytest.raises(RuntimeError, match="must not read the catalogue"):
            engine.ctx.catalog.refresh(tx)
        with pytest.raises(RuntimeError, match="must not read the catalogue"):
            engine.ctx.catalog.get(tx, row["id"], (99, 0))
    with db.transaction() as tx:  # the connection serves others afterwards
        engine.ctx.catalog.refresh(tx)
    assert list(engine.ctx.catalog.by_id) == [row["id"]]


def test_an_endpoint_s_run_is_written_with_what_its_end_starts(db: Database) -> None:
    engine = Engine(db, sequence(), triggers=[{"event": "inngest/function.finished"}])
    begin(engine)
    with db.reading() as tx:
        statuses = sorted(row["status"] for row in stored_runs(tx))
    assert statuses == ["completed", "queued"]
