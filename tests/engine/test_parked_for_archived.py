"""Events in a debounce or an event batch are kept when a sync leaves out their function."""

from typing import Any

import pytest

from inngest_py.domain.functions.registration import parse_registration
from inngest_py.engine.admin import why_event
from inngest_py.engine.apps import register
from inngest_py.engine.apps.erasing import erase
from inngest_py.engine.runtime.audit import Actor
from inngest_py.storage.db.session import Database
from tests.engine.flow import ran, rows, send, statuses
from tests.engine.harness import Engine, sequence

URL = "http://localhost:1/api/inngest"
RULES: dict[str, dict[str, Any]] = {
    "debounce": {"debounce": {"period": "10s"}},
    "batch": {"batchEvents": {"maxSize": 10, "timeout": "10s"}},
}
TIMERS = "SELECT count(*) FROM queue_items WHERE kind IN ('debounce', 'batch')"


def leave_out(engine: Engine) -> None:
    """Sync the app without its function."""
    payload = {"appName": "app", "url": URL, "functions": []}
    register.register(engine.ctx, parse_registration(payload))


@pytest.mark.parametrize("rule", RULES)
def test_parked_events_run_when_the_function_is_back(db: Database, rule: str) -> None:
    engine = Engine(db, sequence(), **RULES[rule])
    [event] = send(engine, {"n": 1})
    leave_out(engine)
    engine.advance(seconds=12)
    assert (statuses(engine), rows(db, TIMERS)) == ([], [(1,)])
    [reason, *_] = why_event.of_event(engine.ctx, event.id).reasons
    assert reason.kind == "function_archived"
    assert f"Kept in the {rule} of app-fn" in reason.text
    engine.advance(hours=5)
    assert (statuses(engine), rows(db, TIMERS)) == ([], [(1,)])
    engine.register(**RULES[rule])
    engine.advance(seconds=0)
    assert statuses(engine) == ["completed"]
    assert ran(engine) == [1]
    assert rows(db, TIMERS) == [(0,)]


@pytest.mark.parametrize("rule", RULES)
def test_an_archived_function_is_looked_for_ever_less_often(db: Database, rule: str) -> None:
    engine = Engine(db, sequence(), **RULES[rule])
    send(engine, {"n": 1})
    leave_out(engine)
    looks = 0
    for _ in range(60):
        before = rows(db, "SELECT due_at FROM queue_items")
        engine.advance(minutes=1)
        looks += rows(db, "SELECT due_at FROM queue_items") != before
    assert 5 < looks < 20


@pytest.mark.parametrize("rule", RULES)
def test_nothing_waits_for_a_function_that_was_deleted(db: Database, rule: str) -> None:
    engine = Engine(db, sequence(), **RULES[rule])
    send(engine, {"n": 1})
    erase(db, "app", engine.now, Actor("ann"))
    engine.advance(seconds=12)
    assert (statuses(engine), rows(db, TIMERS)) == ([], [(0,)])
