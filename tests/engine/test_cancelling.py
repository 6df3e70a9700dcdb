"""Bulk cancellations: of many runs, with many workers, after a crash, and deleted half way."""

import threading
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from inngest_py import observe
from inngest_py.domain.errors import NotFound
from inngest_py.domain.runs import bulk_cancellations as rules
from inngest_py.engine.admin import bulk_cancel
from inngest_py.storage.db.session import Database
from inngest_py.storage.operations import bulk_cancellations as rows
from inngest_py.storage.queries import timeline_rows
from inngest_py.storage.queries.operations import cancellation_list
from tests.engine import flow
from tests.engine.harness import Engine, sequence
from tests.factories import op, reply


def sleeping(engine: Engine, *numbers: int) -> list[str]:
    found = [engine.start(data={"n": n}) for n in numbers]
    engine.drain()
    return found


def ask(engine: Engine, **more: Any) -> str:
    before = engine.now.isoformat()
    body = {"app_id": "app", "function_id": "app-fn", "started_before": before} | more
    engine.now += timedelta(seconds=1)
    return str(bulk_cancel.create(engine.ctx, rules.parse(body, engine.now))["id"])


def statuses(engine: Engine) -> Counter[str]:
    return Counter(flow.statuses(engine))


def shown(engine: Engine, cancellation_id: str) -> Any:
    with engine.ctx.db.reading() as tx:
        return cancellation_list.get(tx, cancellation_id)


def test_running_and_queued_runs_in_the_range(db: Database) -> None:
    engine = Engine(db, lambda request, target: reply(206, [op("Sleep", "nap", name="1h")]))
    before = sleeping(engine, 0)
    engine.now += timedelta(minutes=1)
    after = engine.now.isoformat()
    slept = sleeping(engine, 1, 2)
    queued = engine.start(data={"n": 1})
    engine.hinted.hints.clear()
    engine.now += timedelta(minutes=1)
    told: list[str] = []

    def note(_: object, run_id: str, **more: Any) -> None:
        told.append(run_id)

    with observe.run_finished.connected_to(note):
        made = ask(engine, started_after=after, **{"if": "event.data.n == 1"}, function_id="fn")
    later = engine.start(data={"n": 1})
    for run_id, status in [
        (before[0], "running"),
        (slept[0], "cancelled"),
        (slept[1], "running"),
        (queued, "cancelled"),
        (later, "queued"),
    ]:
        assert engine.run(run_id)["status"] == status
    assert engine.queued(slept[0]) == []
    with engine.ctx.db.reading() as tx:
        *_, why = timeline_rows.attempts_of(tx, slept[0])
    assert (why["op"], why["status"]) == ("Cancellation", "cancelled")
    assert f"Cancelled by the bulk cancellation {made}." in why["error"]
    assert sorted(told) == sorted([slept[0], queued])
    row = shown(engine, made)
    assert (row["cancelled"], row["finished_at"]) == (2, None)
    engine.now += bulk_cancel.SETTLED
    assert bulk_cancel.cancel_page(engine.ctx)
    assert shown(engine, made)["finished_at"] == engine.now
    assert not bulk_cancel.cancel_page(engine.ctx)


def test_pages_by_many_workers(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_cancel, "_PAGE", 7)
    engine = Engine(db, sequence("a"))
    for _ in range(60):
        engine.start()
    engine.now += bulk_cancel.SETTLED * 2
    made = ask(engine, started_before=(engine.now - bulk_cancel.SETTLED).isoformat())
    assert statuses(engine) == {"queued": 53, "cancelled": 7}

    def work() -> None:
        while shown(engine, made)["finished_at"] is None:
            bulk_cancel.cancel_page(engine.ctx)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses(engine) == {"cancelled": 60}
    assert shown(engine, made)["cancelled"] == 60


def test_a_crash_in_a_page_loses_and_repeats_nothing(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_cancel, "_PAGE", 3)
    engine = Engine(db, sequence("a"))
    for _ in range(8):
        engine.start()
    engine.now += bulk_cancel.SETTLED * 2
    made = ask(engine, started_before=(engine.now - bulk_cancel.SETTLED).isoformat())
    with monkeypatch.context() as patch:
        patch.setattr(rows, "move", _crash)
        with pytest.raises(OSError, match="crash"):
            bulk_cancel.cancel_page(engine.ctx)
    assert statuses(engine) == {"queued": 5, "cancelled": 3}
    while bulk_cancel.cancel_page(engine.ctx):
        pass
    assert statuses(engine) == {"cancelled": 8}
    assert shown(engine, made)["cancelled"] == 8


def _crash(*_: Any) -> None:
    raise OSError("crash")


def test_deleting_stops_what_is_left(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_cancel, "_PAGE", 2)
    engine = Engine(db, sequence("a"))
    for _ in range(5):
        engine.start()
    made = ask(engine, started_before=(engine.now + timedelta(milliseconds=1)).isoformat())
    bulk_cancel.remove(engine.ctx, made)
    assert not bulk_cancel.cancel_page(engine.ctx)
    assert statuses(engine) == {"queued": 3, "cancelled": 2}
    with pytest.raises(NotFound):
        bulk_cancel.remove(engine.ctx, made)


def test_unknown_functions(db: Database) -> None:
    engine = Engine(db, sequence("a"))
    for change in ({"app_id": "other"}, {"function_id": "none"}):
        with pytest.raises(NotFound, match="function not found"):
            ask(engine, **change)
