"""A database that refuses writes for a while: answers are kept, attempts are not spent."""

import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from inngest_py.domain.reply.read import Reply
from inngest_py.engine.intake import cron_schedules, publish
from inngest_py.engine.runtime.context import Leases
from inngest_py.engine.runtime.group_commit import Committer
from inngest_py.engine.upkeep import lease_keeping
from inngest_py.engine.work import run_item
from inngest_py.engine.work.claims import claim
from inngest_py.storage.db import deadlines
from inngest_py.storage.db.outages import Outage, reason
from inngest_py.storage.db.pools import PoolSize
from inngest_py.storage.db.probing import probe, writable
from inngest_py.storage.db.session import Database
from tests.databases import copied
from tests.engine.harness import Engine, Script, sequence
from tests.factories import op, reply
from tests.full import Full
from tests.processes import wait_until
from tests.servers import Postgres

Switch = Callable[[Database, bool], None]

_RAISES = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '{code}'; END $$;
CREATE TRIGGER refuses BEFORE INSERT OR UPDATE OR DELETE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION refuse()
"""


_RAISES_AT_COMMIT = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '{code}'; END $$;
CREATE CONSTRAINT TRIGGER refuses AFTER UPDATE ON {table}
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()
"""


def raising(code: str, table: str = "runs", statement: str = _RAISES) -> Switch:
    """Make PostgreSQL refuse statements on a table with this SQLSTATE."""

    def switch(db: Database, refuses: bool) -> None:
        with db.transaction() as tx:
            if refuses:
                tx.execute(text(statement.format(code=code, table=table)))
            else:
                tx.execute(text("DROP FUNCTION refuse() CASCADE"))

    return switch


def read_only(db: Database, refuses: bool) -> None:
    """Make PostgreSQL refuse every write, as on a standby or a protected disk."""
    word = "on" if refuses else "off"
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET default_transaction_read_only = off"))
        connection.execute(
            text(f"ALTER DATABASE {db.url.database} SET default_transaction_read_only = {word}")
        )
    db.engine.dispose()  # sessions learn it when they begin


def one_step(refuse: Callable[[], None]) -> Script:
    """Script a function of one large step, with an outage that begins while it runs."""

    def script(request: dict[str, Any], target: str) -> Reply:
        if request["steps"]:
            return reply(200, "done")
        refuse()
        return reply(206, [op("StepRun", "a", data="x" * 500_000)])

    return script


def ran_through(db: Database, switch: Switch) -> Engine:
    """Run a function whose first answer meets the outage; the outage ends when it was seen."""
    engine = Engine(db, one_step(lambda: switch(db, True)))
    engine.ctx.committer = Committer(db)
    run_id = engine.start()
    worker = threading.Thread(target=engine.drain)
    worker.start()
    wait_until(lambda: db.outage.seen, 30, "the outage seen")
    assert engine.queued(run_id)[0]["attempt"] == 0
    switch(db, False)
    worker.join(30)
    found = engine.run(run_id)
    assert (found["status"], len(engine.sdk.requests)) == ("completed", 2)
    assert not db.outage.seen
    return engine


@pytest.fixture
def postgres_db(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    with copied(request, "postgresql", tmp_path) as made:
        yield made


@pytest.fixture
def sqlite_db(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    with copied(request, "sqlite", tmp_path) as made:
        yield made


@pytest.mark.parametrize(
    "code", ["53100", "53200", "53300", "25006", "57P03", "58030", "42501", "XX000"]
)
def test_answer_is_kept_through_an_outage(
    postgres_db: Database, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "inngest_py")
    ran_through(postgres_db, raising(code))
    told = [(r.message, r.fields) for r in caplog.records if r.message.startswith("database.")]  # type: ignore[attr-defined]
    assert [name for name, _ in told] == ["database.away", "database.back"]
    assert told[0][1]["error"] == "no room"


@pytest.mark.parametrize("code", ["40001", "40P01", "55P03", "57014"])
def test_answer_is_kept_while_others_block_its_write(postgres_db: Database, code: str) -> None:
    switch = raising(code)
    engine = Engine(postgres_db, one_step(lambda: switch(postgres_db, True)))
    run_id = engine.start()
    worker = threading.Thread(target=engine.drain)
    worker.start()
    wait_until(lambda: len(engine.sdk.requests) == 1, 30, "called")
    worker.join(1.5)
    assert worker.is_alive()
    switch(postgres_db, False)
    worker.join(30)
    assert engine.run(run_id)["status"] == "completed"
    assert len(engine.sdk.requests) == 2


def test_answer_is_kept_while_the_server_is_read_only(postgres_db: Database) -> None:
    ran_through(postgres_db, read_only)


def test_answer_is_kept_while_the_disk_is_full(sqlite_db: Database) -> None:
    ran_through(sqlite_db, Full(sqlite_db))


def test_an_answer_waits_for_a_connection(
    postgres_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inngest_py.storage.db.session._POOL_SECONDS", 0.2)
    db = Database(str(postgres_db.url), pool=PoolSize(1, 2))
    taken: list[Any] = []

    def take_all() -> None:
        taken.extend(db.engine.connect() for _ in range(2))

    engine = Engine(db, one_step(take_all))
    run_id = engine.start()
    worker = threading.Thread(target=engine.drain)
    worker.start()
    wait_until(lambda: db.outage.seen, 30, "no connection left")
    for connection in taken:
        connection.close()
    worker.join(30)
    found = engine.run(run_id)
    db.close()
    assert (found["status"], len(engine.sdk.requests)) == ("completed", 2)


def test_api_request_fails_at_once_when_the_database_refuses(postgres_db: Database) -> None:
    engine = Engine(postgres_db, sequence())
    raising("53100", "events")(postgres_db, True)
    with deadlines.within(60), pytest.raises(SQLAlchemyError):
        publish.accept(engine.ctx, [engine.event()])


def test_a_probe_writes(db: Database) -> None:
    probe(db)
    with db.reading() as tx:
        assert not tx.execute(text("SELECT key FROM meta WHERE key LIKE 'probe%'")).all()


def test_a_probe_meets_a_full_disk(sqlite_db: Database) -> None:
    full = Full(sqlite_db)
    assert writable(sqlite_db)
    full(sqlite_db, True)
    with pytest.raises(SQLAlchemyError):
        while True:  # the pages that the first probe has left free are used first
            with sqlite_db.transaction() as tx:
                tx.execute(text("INSERT INTO meta VALUES (hex(randomblob(2000)), 1)"))
    assert not writable(sqlite_db)


def test_missed_ticks_are_logged_once(
    postgres_db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    engine = Engine(postgres_db, sequence(), triggers=[{"cron": "* * * * *"}])
    engine.now += timedelta(minutes=10)
    switch = raising("53100", "crons", _RAISES_AT_COMMIT)
    switch(postgres_db, True)
    for _ in range(3):
        with pytest.raises(SQLAlchemyError):
            cron_schedules.run_due(engine.ctx, cron_schedules.Missed.SKIP)
    assert not [r for r in caplog.records if r.message == "cron.missed"]
    switch(postgres_db, False)
    cron_schedules.run_due(engine.ctx, cron_schedules.Missed.SKIP)
    assert len([r for r in caplog.records if r.message == "cron.missed"]) == 1


def test_outage_is_logged_when_it_begins_and_ends(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "inngest_py")
    outage = Outage()
    error = Database("postgresql://nobody:hidden@127.0.0.1:1/x")
    for _ in range(3):
        with pytest.raises(SQLAlchemyError) as caught, error.reading():
            pass
        outage.note(caught.value)
    outage.over()
    outage.over()
    error.close()
    assert [r.message for r in caplog.records] == ["database.away", "database.back"]
    assert "Connection refused" in caplog.records[0].fields["error"]  # type: ignore[attr-defined]


def test_each_reason_of_an_outage_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage()
    told = ["the server closed", *(f"refused on port {n}" for n in range(9)), "the server closed"]
    for words in [*told, "no room", *(chr(n) * 9 for n in range(97, 123))]:
        outage.note(OperationalError("", {}, Exception(words)))
    shown = [r.fields["error"] for r in caplog.records]  # type: ignore[attr-defined]
    assert shown == [*told[:2], "no room", "a" * 9, "b" * 9]
    outage.over()
    outage.note(OperationalError("", {}, Exception("no room")))
    assert len([r for r in caplog.records if r.message == "database.away"]) == 6


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            'connection to server at "a", port 1 failed: Connection refused\n\tIs the server up'
            ' on that host?\nconnection to server at "b", port 1 failed: No route to host\n',
            'connection to server at "a", port 1 failed: Connection refused. Is the server up'
            ' on that host? connection to server at "b", port 1 failed: No route to host',
        ),
        (
            "server closed the connection unexpectedly\n\tThis probably means the server"
            " terminated abnormally\n\tbefore or while processing the request.\n",
            "server closed the connection unexpectedly. This probably means the server"
            " terminated abnormally before or while processing the request.",
        ),
        ("no room", "no room"),
        ("\n", "Exception"),
    ],
)
def test_lines_of_a_driver_are_told_as_sentences(said: str, told: str) -> None:
    assert reason(OperationalError("", {}, Exception(said))) == told


def test_a_postgres_with_a_password_says_what_it_refuses(postgres: Postgres) -> None:
    db = Database(f"postgresql://nobody:s3cret@127.0.0.1:{postgres.port}/no_such_database")
    with pytest.raises(SQLAlchemyError) as caught, db.reading():
        pass
    db.close()
    told = reason(caught.value)
    assert 'role "nobody" does not exist' in told and "s3cret" not in told


def test_lease_is_kept_through_an_outage_longer_than_it(postgres_db: Database) -> None:
    engine = Engine(postgres_db, sequence())
    run_id = engine.start()
    ((_, item_id),) = engine.hinted.hints
    (job,) = claim(engine.ctx, [item_id])
    other = lease_keeping.Lapsed()
    read_only(postgres_db, True)
    for _ in range(3):
        engine.now += engine.ctx.tuning.lease
        with pytest.raises(SQLAlchemyError):
            other.run_once(engine.ctx)
    read_only(postgres_db, False)
    engine.ctx.leases.drop(job.item)  # another process holds it
    other.run_once(engine.ctx)
    run_item.run_job(engine.ctx, job)
    assert engine.run(run_id)["status"] == "completed"


def test_items_of_dead_workers_are_freed_after_an_outage(postgres_db: Database) -> None:
    engine = Engine(postgres_db, sequence())
    run_id = engine.start()
    ((_, item_id),) = engine.hinted.hints
    claim(engine.ctx, [item_id])
    other = lease_keeping.Lapsed()
    read_only(postgres_db, True)
    engine.now += engine.ctx.tuning.lease * 2
    with pytest.raises(SQLAlchemyError):
        other.run_once(engine.ctx)
    read_only(postgres_db, False)
    engine.ctx.leases = Leases()
    for _ in range(4):
        other.run_once(engine.ctx)
        engine.now += engine.ctx.tuning.lease / 6
    assert engine.queued(run_id)[0]["state"] == "ready"
