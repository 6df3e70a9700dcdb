"""Shared commits: many writers, each with its own fate."""

import threading
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import Connection, text

from inngest_py.domain.errors import LeaseLost
from inngest_py.engine.commit import Committer
from inngest_py.storage.meta import Meta
from inngest_py.storage.session import Database, insert

WRITERS = 40


def add_all(tx: Connection, keys: Sequence[str]) -> Sequence[str]:
    tx.execute(insert(tx, Meta), [{"key": key, "value": 1} for key in keys])
    if any(key.endswith("7") for key in keys):
        raise LeaseLost
    return keys


def test_a_lost_lease_drops_its_own_write_and_no_other(db: Database) -> None:
    committer = Committer(db)
    begin = threading.Barrier(WRITERS)
    outcomes: dict[str, Any] = {}

    def writer(key: str) -> None:
        begin.wait()
        try:
            outcomes[key] = committer.run(key, add_all, key)
        except LeaseLost as error:
            outcomes[key] = error

    threads = [threading.Thread(target=writer, args=(f"k{n:02}",)) for n in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    lost = {key for key, outcome in outcomes.items() if isinstance(outcome, LeaseLost)}
    assert len(outcomes) == WRITERS
    assert lost == {"k07", "k17", "k27", "k37"}
    with db.reading() as tx:
        stored = {row.key for row in tx.execute(text("SELECT key FROM meta WHERE key LIKE 'k%'"))}
    assert stored == set(outcomes) - lost


@pytest.mark.parametrize("shared", [True, False])
def test_a_write_alone_returns_its_result_and_raises_its_error(db: Database, shared: bool) -> None:
    committer = Committer(db, shared=shared)
    assert committer.run("a", add_all, "a") == "a"
    with pytest.raises(LeaseLost):
        committer.run("b7", add_all, "b7")
    assert committer.run("c", add_all, "c") == "c"
