"""Open waits and subscriptions: written once, consumed once, found by the index."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from inngest_py.storage.db.session import Database
from inngest_py.storage.events import waits
from tests.factories import NOW


def row(wait_id: str, **changes: Any) -> dict[str, Any]:
    made = {
        "id": wait_id,
        "kind": "event",
        "run_id": "r",
        "step": "s",
        "event_name": "x/y",
        "expression": None,
        "lookup_path": "",
        "lookup_key": "",
        "signal": None,
        "created_by": "e",
        "created_at": NOW,
        "expires_at": NOW + timedelta(hours=1),
        "item_id": f"item-{wait_id}",
    }
    return made | changes


def add(db: Database, *rows: dict[str, Any]) -> set[str]:
    with db.transaction() as tx:
        return waits.add(tx, list(rows))


def test_wait_is_written_once(db: Database) -> None:
    assert add(db, row("a")) == {"a"}
    assert add(db, row("a"), row("b")) == {"b"}


def test_signal_has_one_wait_until_another_replaces_it(db: Database) -> None:
    late = NOW + timedelta(hours=1)
    assert add(db, row("a", signal="s")) == {"a"}
    assert add(db, row("b", signal="s")) == set()
    with db.transaction() as tx:
        waits.free_signal(tx, "s", NOW, replaces=False)
        assert waits.add(tx, [row("b", signal="s")]) == set()
        waits.free_signal(tx, "s", late, replaces=False)  # the first has expired
        assert waits.add(tx, [row("b", signal="s")]) == {"b"}
        waits.free_signal(tx, "s", NOW, replaces=True)
        assert waits.add(tx, [row("c", signal="s")]) == {"c"}
        assert waits.consume_signal(tx, "s", late) is None
        assert waits.consume_signal(tx, "s", NOW) == ("r", "item-c")
        assert waits.consume_signal(tx, "s", NOW) is None
        assert len(waits.of_run(tx, "r")) == 2


def test_paths_are_listed_once_each(db: Database) -> None:
    add(db, *(row(f"{path}{n}", lookup_path=path) for path in ("", "p", "q") for n in range(5)))
    add(db, row("z", event_name="other", lookup_path="o"), row("n", event_name=None))
    with db.reading() as tx:
        found = waits.paths(tx, ["x/y", "unknown"])
        assert sorted(found) == [("x/y", ""), ("x/y", "p"), ("x/y", "q")]
        assert waits.paths(tx, ["unknown"]) == []


def test_candidates_are_the_waits_with_the_keys(db: Database) -> None:
    add(
        db,
        row("a", lookup_path="p", lookup_key="1"),
        row("b", lookup_path="p", lookup_key="2"),
        row("c"),
        row("d", kind="cancel"),
        row("e", event_name="z"),
    )
    with db.reading() as tx:
        found = waits.candidates(tx, [("x/y", "p", "1"), ("x/y", "", ""), ("x/y", "", "")])
    assert found is not None
    assert sorted(wait.id for wait in found) == ["a", "c"]


def test_more_candidates_than_a_transaction_takes_are_paged(db: Database) -> None:
    add(db, *(row(f"{n:04}") for n in range(waits.MOST_TOGETHER + 1)))
    with db.reading() as tx:
        assert waits.candidates(tx, [("x/y", "", "")]) is None
        first = waits.page(tx, ("x/y", "", ""), "")
        second = waits.page(tx, ("x/y", "", ""), first[-1].id)
    assert len(first) == len(second) == waits.MOST_AT_ONCE


def test_only_one_of_many_transactions_consumes_a_wait(db: Database) -> None:
    ids = [f"p{n}" for n in range(20)]
    add(db, *(row(one) for one in ids))
    taken: list[str] = []
    start = threading.Barrier(4)

    def take(order: int) -> None:
        start.wait()
        with db.transaction() as tx:
            taken.extend(waits.consume(tx, ids[::order]))

    threads = [threading.Thread(target=take, args=(order,)) for order in (1, -1, 1, -1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(ids)


def test_waits_of_ended_runs_and_expired_ones_are_deleted(db: Database) -> None:
    add(db, row("a"), row("b", run_id="other"), row("c", run_id="other", expires_at=NOW))
    with db.transaction() as tx:
        waits.drop_runs(tx, ["r"])
        assert [one["id"] for one in waits.of_run(tx, "other")] == ["b", "c"]
        assert waits.forget(tx, NOW + timedelta(seconds=1), 10) == 1
        assert [one["id"] for one in waits.of_run(tx, "other")] == ["b"]


@pytest.mark.parametrize("count", [2000])
def test_look_ups_use_the_index(db: Database, count: int) -> None:
    add(db, *(row(f"{n:05}", lookup_path="p", lookup_key=str(n)) for n in range(count)))
    with db.transaction() as tx:
        tx.execute(text("ANALYZE"))
        seen: list[str] = []

        def explain(statement: str, parameters: Any) -> None:
            prefix = "EXPLAIN QUERY PLAN " if db.is_sqlite else "EXPLAIN "
            cursor = tx.connection.cursor()
            cursor.execute(prefix + statement, parameters)
            seen.extend(str(line) for line in cursor.fetchall())

        from sqlalchemy import event

        @event.listens_for(tx, "before_cursor_execute")
        def _before(_c: Any, _cur: Any, statement: str, parameters: Any, *_: Any) -> None:
            explain(statement, parameters)

        found = waits.candidates(tx, [("x/y", "p", "7")])
        assert found is not None
        assert [one.id for one in found] == ["00007"]
        waits.paths(tx, ["x/y"])
    assert "waits_lookup_idx" in "".join(seen)
    assert not [line for line in seen if "SCAN waits" in line or "Seq Scan on waits" in line]
