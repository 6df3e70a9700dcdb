"""Answers that a database cannot store: the run continues, or fails after its attempts."""

import random
from typing import Any

import pytest
from sqlalchemy import text

from inngest_py.storage.db.session import Database
from tests.engine.harness import Engine, sequence
from tests.factories import op, reply, step

WIDE = "".join(chr(random.Random(i).randrange(0x10000, 0x20000)) for i in range(1024))


@pytest.mark.parametrize("code", ["StepRun", "StepPlanned", "Sleep", "StepError"])
@pytest.mark.parametrize("bad_id", ["\0", f"{step('a')}\0", WIDE, "x" * 1025])
def test_an_id_that_cannot_be_stored_is_an_error(db: Database, code: str, bad_id: str) -> None:
    bad = {"op": code, "id": bad_id, "name": "1s", "error": {"message": "m"}}
    engine = Engine(db, lambda request, target: reply(206, [bad]), retries=1)
    run_id = engine.start()
    engine.drain()
    engine.advance(seconds=6)
    found = engine.run(run_id)
    assert found["status"] == "failed"
    assert "error reading generator opcode response: id" in found["output"]
    assert not engine.queued(run_id)


@pytest.mark.parametrize(
    "names", [{"displayName": "a\0b"}, {"name": "a\0b"}, {"opts": {"type": "a\0b"}}]
)
def test_a_nul_in_a_name_is_replaced(db: Database, names: dict[str, Any]) -> None:
    def script(request: dict[str, Any], target: str) -> Any:
        if request["steps"]:
            return reply(200, "done")
        return reply(206, [op("StepRun", "a", data="\0") | names])

    engine = Engine(db, script)
    run_id = engine.start()
    engine.drain()
    assert engine.run(run_id)["status"] == "completed"
    assert engine.memo(run_id) == {step("a"): {"data": "\0"}}


def refuse_steps(db: Database) -> None:
    """Make the database refuse every stored step."""
    statements = ["ALTER TABLE steps ADD CONSTRAINT refused CHECK (name <> 'a')"]
    if db.is_sqlite:
        raises = "BEGIN SELECT RAISE(ABORT, 'refused'); END"
        statements = [f"CREATE TRIGGER refused BEFORE INSERT ON steps {raises}"]
    with db.transaction() as tx:
        for statement in statements:
            tx.execute(text(statement))


def test_an_answer_that_the_database_refuses_uses_up_attempts(db: Database) -> None:
    engine = Engine(db, sequence("a"), retries=1)
    refuse_steps(db)
    run_id = engine.start()
    engine.drain()
    assert [item["attempt"] for item in engine.queued(run_id)] == [1]
    engine.advance(seconds=6)
    found = engine.run(run_id)
    assert found["status"] == "failed"
    assert "could not be stored" in found["output"]
    assert len(engine.sdk.requests) == 2
