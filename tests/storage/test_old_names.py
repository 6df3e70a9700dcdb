"""A table that is renamed serves the last release's processes by its old name."""

from collections.abc import Callable
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Connection, text

from inngest_py.domain.errors import Conflict
from inngest_py.storage.db import meta
from inngest_py.storage.db.session import Database
from inngest_py.storage.events import waits
from inngest_py.storage.schema import migrate
from tests.storage.test_migrations import alembic, empty
from tests.storage.test_waits import row

__all__ = ["empty"]

# What the last release sends, with fewer columns.
ADD = (
    "INSERT INTO pauses (id, kind, run_id, event_name, created_by, created_at, expires_at, item_id)"
    " VALUES (:id, 'event', 'r', 'x/y', 'e', now(), now() + interval '1 hour', 'i')"
    " ON CONFLICT DO NOTHING RETURNING pauses.id"
)
FREE_SIGNAL = "UPDATE pauses SET signal = NULL WHERE pauses.signal = :id"
PATHS = "SELECT min(pauses.lookup_path) FROM pauses WHERE pauses.event_name = 'x/y'"
CONSUME = (
    "DELETE FROM pauses WHERE pauses.id IN (SELECT pauses.id FROM pauses WHERE pauses.id IN (:id)"
    " ORDER BY pauses.id FOR UPDATE) RETURNING pauses.id, pauses.item_id"
)
FORGET = (
    "DELETE FROM pauses WHERE pauses.id IN (SELECT pauses.id FROM pauses"
    " WHERE pauses.expires_at < now() + interval '1 day' ORDER BY pauses.expires_at"
    " LIMIT 10 FOR UPDATE SKIP LOCKED)"
)
END_RUN = (
    "UPDATE runs SET ended_at = now() WHERE runs.id = :id"
    " RETURNING EXISTS (SELECT pauses.id FROM pauses WHERE pauses.run_id = runs.id)"
)


def _send(tx: Connection, statement: str, wait_id: str = "") -> list[Any]:
    done = tx.execute(text(statement), {"id": wait_id})
    return [tuple(one) for one in done] if done.returns_rows else [done.rowcount]


@pytest.fixture(params=[migrate.prepare, migrate.upgrade], ids=["made", "migrated"])
def current(request: pytest.FixtureRequest, postgres_url: str) -> Database:
    db = Database(postgres_url)
    request.param(db)
    return db


def test_the_last_release_works_on_waits_by_their_old_name(current: Database) -> None:
    with current.transaction() as tx:
        assert _send(tx, ADD, "a") == [("a",)]
        assert _send(tx, ADD, "a") == []
        assert waits.add(tx, [row("a"), row("b", signal="s")]) == {"b"}
        assert _send(tx, PATHS) == [("",)], "a column that is left out gets the table's default"
        assert _send(tx, FREE_SIGNAL, "s") == [1]
        assert [one["signal"] for one in waits.of_run(tx, "r")] == [None, None]
        assert _send(tx, END_RUN, "none") == []
        assert _send(tx, CONSUME, "a") == [("a", "i")]
        assert _send(tx, CONSUME, "a") == []
        assert waits.consume(tx, ["a", "b"]) == {"b": "item-b"}
    current.close()


def test_rows_locked_by_the_old_name_are_locked(current: Database) -> None:
    with current.transaction() as tx:
        waits.add(tx, [row("a"), row("b")])
    with current.transaction() as old, current.transaction() as other:
        assert _send(old, "SELECT pauses.id FROM pauses WHERE id = 'a' FOR UPDATE") == [("a",)]
        assert _send(other, FORGET) == [1], "the last release skips what another has locked"
        skipping = text("SELECT id FROM waits FOR UPDATE SKIP LOCKED")
        assert other.execute(skipping).all() == []
    current.close()


def test_waits_stay_through_the_renaming(empty: Database) -> None:
    migrate.upgrade(empty)
    alembic(empty, lambda config: command.downgrade(config, "0025"))
    _fill(empty, "pauses")
    migrate.upgrade(empty)
    with empty.transaction() as tx:
        assert [one["id"] for one in waits.of_run(tx, "r")] == ["a"]
        assert waits.add(tx, [row("b", signal="s")]) == set(), "the signal has a wait"
    empty.close()


def _fill(db: Database, table: str) -> None:
    values = row("a", signal="s") | {"created_at": 0, "expires_at": 0}
    names = ", ".join(values)
    places = ", ".join(f":{name}" for name in values)
    if not db.is_sqlite:
        places = places.replace(":created_at", "now()").replace(":expires_at", "now()")
    with db.transaction() as tx:
        tx.execute(text(f"INSERT INTO {table} ({names}) VALUES ({places})"), values)


@pytest.mark.parametrize("make", [migrate.prepare, migrate.upgrade])
def test_only_sqlite_refuses_the_last_release(
    empty: Database, make: Callable[[Database], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    make(empty)
    monkeypatch.setattr(migrate, "head", lambda: "0025")
    if empty.is_sqlite:
        with pytest.raises(Conflict, match="cannot use it"):
            migrate.refuse_newer(empty)
    else:
        assert migrate.refuse_newer(empty)
        with empty.reading() as tx:
            assert (meta.value(tx, "schema_oldest") or 0) < 26
    empty.close()
