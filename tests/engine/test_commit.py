"""Shared commits: many writers, each with its own fate."""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from inngest_py.domain.errors import LeaseLost
from inngest_py.engine.commit import Committer
from inngest_py.storage.meta import Meta
from inngest_py.storage.session import Database, insert
from tests.processes import wait_until

WRITERS = 40
Add = Callable[[Connection, Sequence[str]], Sequence[str]]


def add_all(tx: Connection, keys: Sequence[str]) -> Sequence[str]:
    tx.execute(insert(tx, Meta), [{"key": key, "value": 1} for key in keys])
    if any(key.endswith("7") for key in keys):
        raise LeaseLost
    return keys


def written_by_many(committer: Committer, add: Add, prefix: str) -> dict[str, Any]:
    """Write keys from many threads at once, and give what each got back."""
    begin = threading.Barrier(WRITERS)
    outcomes: dict[str, Any] = {}

    def writer(key: str) -> None:
        begin.wait()
        try:
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
def test_what_fails_only_together_is_told_and_each_is_written_alone(
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
        assert (line.exc_info is not None) == (breaks is breaks_in_python)
        assert "of others" not in fields["error"]
    refused = {key for key in outcomes if key.endswith("7")}
    assert {key for key, outcome in outcomes.items() if outcome != key} == refused
    assert all(isinstance(outcomes[key], LeaseLost) for key in refused)
    assert stored_keys(db) == set(outcomes) - refused
