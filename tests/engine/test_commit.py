"""Group commit: many writers share a commit, and each gets its own result."""

import logging
import math
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from inngest_py.domain.errors import LeaseLost
from inngest_py.engine.runtime.group_commit import Committer
from inngest_py.storage.db import deadlines, sqlite_writer
from inngest_py.storage.db.meta import Meta
from inngest_py.storage.db.outages import Fault, fault
from inngest_py.storage.db.session import Database, insert
from tests.processes import ROOT, wait_until

WRITERS = 40
Add = Callable[[Connection, Sequence[str]], Sequence[str]]


def add_all(tx: Connection, keys: Sequence[str]) -> Sequence[str]:
    tx.execute(insert(tx, Meta), [{"key": key, "value": 1} for key in keys])
    if any(key.endswith("7") for key in keys):
        raise LeaseLost
    return keys


def written_by_many(
    committer: Committer, add: Add, prefix: str, within: float = math.inf
) -> dict[str, Any]:
    """Write keys from many threads at once, and give what each got back within some seconds."""
    begin = threading.Barrier(WRITERS)
    outcomes: dict[str, Any] = {}

    def writer(key: str) -> None:
        begin.wait()
        try:
            with deadlines.within(within):
                outcomes[key] = committer.run(key, add, key)
        except (LeaseLost, SQLAlchemyError, TypeError) as error:
            outcomes[key] = error

    keys = [f"{prefix}{n:02}" for n in range(WRITERS)]
    threads = [threading.Thread(target=writer, args=(key,)) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert outcomes.keys() == set(keys)
    return outcomes


def stored_keys(db: Database) -> set[str]:
    with db.reading() as tx:
        return {row.key for row in tx.execute(text("SELECT key FROM meta WHERE key LIKE 'k%'"))}


def test_a_lost_lease_drops_its_own_write_and_no_other(db: Database) -> None:
    outcomes = written_by_many(Committer(db), add_all, "k")
    lost = {key for key, outcome in outcomes.items() if isinstance(outcome, LeaseLost)}
    assert lost == {"k07", "k17", "k27", "k37"}
    assert stored_keys(db) == set(outcomes) - lost


@pytest.mark.parametrize("shared", [True, False])
def test_a_write_alone_returns_its_result_and_raises_its_error(db: Database, shared: bool) -> None:
    committer = Committer(db, shared=shared)
    assert committer.run("a", add_all, "a") == "a"
    with pytest.raises(LeaseLost):
        committer.run("b7", add_all, "b7")
    assert committer.run("c", add_all, "c") == "c"


def breaks_a_constraint(tx: Connection) -> None:
    tx.execute(text("INSERT INTO meta VALUES ('of others', NULL)"))


def breaks_in_python(tx: Connection) -> None:
    raise TypeError("of others")


@pytest.mark.parametrize(
    ("breaks", "told"), [(breaks_a_constraint, "Violation"), (breaks_in_python, "TypeError")]
)
def test_writes_that_fail_only_together_are_logged_and_written_alone(
    db: Database,
    caplog: pytest.LogCaptureFixture,
    breaks: Callable[[Connection], None],
    told: str,
) -> None:
    if db.is_sqlite:
        told = told.replace("Violation", "IntegrityError")
    outcomes: dict[str, Any] = {}
    rounds = iter(range(100))

    def add(tx: Connection, keys: Sequence[str]) -> Sequence[str]:
        if len(keys) > 1:
            breaks(tx)
        return add_all(tx, keys)

    def lines() -> list[logging.LogRecord]:
        return [record for record in caplog.records if record.message == "commit.apart"]

    def shared() -> bool:
        outcomes.update(written_by_many(Committer(db), add, f"k{next(rounds)}-"))
        return bool(lines())

    wait_until(shared, 60, "writers that share a commit")
    for line in lines():
        fields = line.fields  # type: ignore[attr-defined]
        assert fields["writes"] > 1
        assert told in fields["error"]
        assert line.exc_info
        values_are_shown = breaks is breaks_in_python  # the exception's own message
        assert ("of others" in str(line.exc_info[1])) == values_are_shown
        assert "of others" not in fields["error"]
    refused = {key for key in outcomes if key.endswith("7")}
    assert {key for key, outcome in outcomes.items() if outcome != key} == refused
    assert all(isinstance(outcomes[key], LeaseLost) for key in refused)
    assert stored_keys(db) == set(outcomes) - refused


LOCKED = """
import sys
from inngest_py.storage.db.session import Database
with Database(sys.argv[1]).transaction():
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_a_leader_does_not_wait_behind_a_lock_for_each_of_the_others(
    tmp_path: Path, migrated_sqlite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_writer, "_BUSY_SECONDS", 0.0)
    db = Database(f"sqlite:///{shutil.copy(migrated_sqlite, tmp_path / 'test.db')}")
    committer = Committer(db)
    tries: list[int] = []  # who tried to begin a transaction
    done: list[str] = []

    run = sqlite_writer._run

    def noted(connection: Connection, sql: str) -> None:
        if sql == "BEGIN IMMEDIATE":
            tries.append(threading.get_ident())
        run(connection, sql)

    keys = [f"k{number}-" for number in range(WRITERS)]
    threads = [
        threading.Thread(target=lambda key=key: done.append(committer.run(key, add_all, key)))
        for key in keys
    ]
    with subprocess.Popen(
        [sys.executable, "-c", LOCKED, str(db.url)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        monkeypatch.setattr(sqlite_writer, "_run", noted)
        for thread in threads:
            thread.start()
        wait_until(lambda: len(tries) > 2 * WRITERS, 60, "many tries")
        other.stdin.close()
    for thread in threads:
        thread.join(timeout=60)
    db.close()
    assert sorted(done) == sorted(keys)
    # a turn is one try for all and one alone, and somebody may have a few turns in a row
    assert max(len(list(same)) for _, same in groupby(tries)) < WRITERS / 4


def refuse(tx: Connection) -> None:
    """Let the database refuse this write alone, as a right that is missing does."""
    if tx.dialect.name != "sqlite":
        tx.execute(text("SET TRANSACTION READ ONLY"))
        tx.execute(text("DELETE FROM meta"))
    tx.execute(text("PRAGMA query_only = ON"))
    try:
        tx.execute(text("DELETE FROM meta"))
    finally:
        tx.execute(text("PRAGMA query_only = OFF"))


def test_who_shares_a_commit_with_a_refused_write_is_not_refused(db: Database) -> None:
    """Not even who waits for an answer, and is therefore told of a refusal at once."""
    outcomes: dict[str, Any] = {}
    rounds = iter(range(100))
    shared = threading.Event()

    def add(tx: Connection, keys: Sequence[str]) -> Sequence[str]:
        if any(key.endswith("03") for key in keys):
            if len(keys) > 1:
                shared.set()
            refuse(tx)
        return add_all(tx, keys)

    def together() -> bool:
        prefix = f"k{next(rounds)}-"
        outcomes.update(written_by_many(Committer(db), add, prefix, within=60))
        return shared.is_set()

    wait_until(together, 60, "a refused write that shares a commit")
    refused = {key for key, outcome in outcomes.items() if fault(outcome) is Fault.REFUSES}
    assert refused == {key for key in outcomes if key.endswith("03")}
    lost = {key for key in outcomes if key.endswith("7")}
    assert stored_keys(db) == set(outcomes) - refused - lost
