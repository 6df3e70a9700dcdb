"""Singletons: one run per key at a time."""

from typing import Any

import pytest

from inngest_py.engine.admin import pause_function
from inngest_py.engine.work import end_run
from inngest_py.storage.db.session import Database
from tests.engine.flow import Statements, rows, send, statuses, together
from tests.engine.harness import Engine, sequence
from tests.factories import reply


def singleton(mode: str, key: str | None = None) -> dict[str, Any]:
    return {"singleton": {"mode": mode} | ({"key": key} if key else {})}


def skipped(db: Database) -> list[Any]:
    query = "SELECT skip_reason, existing_run_id, started_at FROM runs WHERE status = 'skipped'"
    return rows(db, query)


def test_skip(db: Database) -> None:
    engine = Engine(db, sequence("a"), **singleton("skip"))
    first = engine.start()
    second = engine.start()
    run = engine.run(second)
    assert (run["status"], run["skip_reason"]) == ("skipped", "Singleton")
    assert run["existing_run_id"] == first
    assert run["ended_at"] is not None
    assert engine.queued(second) == []
    engine.drain()
    assert engine.run(first)["status"] == "completed"
    assert len(engine.sdk.requests) == 2
    third = engine.start()
    engine.drain()
    assert engine.run(third)["status"] == "completed"
    assert rows(db, "SELECT key FROM singleton_locks") == []


def test_cancel(db: Database) -> None:
    engine = Engine(db, sequence("a"), **singleton("cancel"))
    first = engine.start()
    second = engine.start()
    ((holder,),) = rows(db, "SELECT run_id FROM singleton_locks")
    assert holder == second
    engine.hinted.hints.sort(key=lambda hint: hint[0] != "replace")
    engine.drain()
    assert engine.run(first)["status"] == "cancelled"
    assert engine.run(second)["status"] == "completed"
    assert rows(db, "SELECT id FROM queue_items") == []
    assert rows(db, "SELECT key FROM singleton_locks") == []


def test_the_replaced_run_may_end_by_itself(db: Database) -> None:
    engine = Engine(db, sequence("a"), **singleton("cancel"))
    first = engine.start()
    second = engine.start()
    hints = [hint for hint in engine.hinted.hints if hint[0] == "replace"]
    engine.hinted.hints = [hint for hint in engine.hinted.hints if hint[0] != "replace"]
    engine.drain()
    engine.hinted.hints = hints
    engine.drain()
    assert {engine.run(first)["status"], engine.run(second)["status"]} == {"completed"}
    assert rows(db, "SELECT id FROM queue_items") == []


@pytest.mark.parametrize(
    ("key", "sent", "made"),
    [
        ("event.data.k", [{"k": "a"}, {"k": "b"}, {"k": "a"}], 2),
        ("event.data.k", [{"k": False}, {}, {}], 3),
        ("int('x')", [{}, {}], 2),
        (None, [{"k": "a"}, {"k": "b"}], 1),
    ],
)
def test_keys(db: Database, key: str | None, sent: list[dict[str, Any]], made: int) -> None:
    engine = Engine(db, sequence(), **singleton("skip", key))
    send(engine, *sent)
    assert statuses(engine).count("queued") == made
    assert len(statuses(engine)) == len(sent)


@pytest.mark.parametrize("mode", ["skip", "cancel"])
def test_first_run_of_a_transaction_gets_the_key(db: Database, mode: str) -> None:
    engine = Engine(db, sequence(), **singleton(mode))
    send(engine, *({"n": n} for n in range(4)))
    engine.drain()
    assert [request["event"]["data"]["n"] for request in engine.sdk.requests] == [0]
    assert sorted(statuses(engine)) == ["completed"] + ["skipped"] * 3
    assert len({row[1] for row in skipped(db)}) == 1


@pytest.mark.parametrize("how", ["completed", "failed", "cancelled"])
def test_every_end_gives_back_the_key(db: Database, how: str) -> None:
    script = (
        sequence() if how == "completed" else lambda *_: reply(400, {}, x_inngest_no_retry="true")
    )
    engine = Engine(db, script, **singleton("skip"))
    run_id = engine.start()
    if how == "cancelled":
        end_run.cancel(engine.ctx, run_id)
    engine.drain()
    assert engine.run(run_id)["status"] == how
    assert rows(db, "SELECT key FROM singleton_locks") == []


def test_a_skipped_event_may_be_sent_again_with_its_id(db: Database) -> None:
    engine = Engine(db, sequence(), **singleton("skip"))
    engine.start()
    send(engine, {}, id="x")
    engine.drain()
    send(engine, {}, id="x")
    send(engine, {}, id="x")
    assert sorted(statuses(engine)) == ["completed", "queued", "skipped"]


def test_repeated_event_takes_no_key(db: Database) -> None:
    engine = Engine(db, sequence(), **singleton("skip"))
    send(engine, {}, id="x")
    engine.drain()
    send(engine, {}, id="x")
    assert statuses(engine) == ["completed"]
    assert rows(db, "SELECT key FROM singleton_locks") == []


@pytest.mark.parametrize("mode", ["skip", "cancel"])
def test_a_race(db: Database, mode: str) -> None:
    engine = Engine(db, sequence(), **singleton(mode))
    for round_ in range(1, 6):
        together(8, lambda n: send(engine, {"n": n}) and None)
        live = statuses(engine).count("queued")
        assert live == (1 if mode == "skip" else 8)
        engine.hinted.hints.sort(key=lambda hint: hint[0] != "replace")
        engine.drain()
        found = statuses(engine)
        assert found.count("completed") == round_
        assert len(found) == 8 * round_
        assert rows(db, "SELECT key FROM singleton_locks") == []


def test_arrivals_that_race_with_ends(db: Database) -> None:
    """A key is never given twice and never left behind."""
    engine = Engine(db, sequence(), **singleton("skip", "event.data.k"))

    def act(number: int) -> None:
        for n in range(10):
            send(engine, {"k": "a", "n": n}, {"k": "b", "n": n})
            if number % 2:
                for row in rows(db, "SELECT id FROM runs WHERE status = 'queued'"):
                    end_run.cancel(engine.ctx, row[0])

    together(6, act)
    engine.drain()
    assert set(statuses(engine)) <= {"completed", "skipped", "cancelled"}
    assert rows(db, "SELECT key FROM singleton_locks") == []


def test_number_of_statements(db: Database) -> None:
    engine = Engine(db, sequence(), **singleton("skip", "event.data.k"))
    engine.start()
    with Statements(db) as taken:
        send(engine, *({"k": n} for n in range(50)))
    assert len([one for one in taken.seen if "singleton" in one]) == 2


def test_run_that_is_skipped_for_a_pause_takes_no_key(db: Database) -> None:
    engine = Engine(db, sequence(), **singleton("skip"))
    pause_function.pause(engine.ctx, "app-fn")
    engine.start()
    assert skipped(db)[0][0] == "FunctionPaused"
    assert rows(db, "SELECT key FROM singleton_locks") == []
