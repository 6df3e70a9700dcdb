"""Search keys: new runs have their values at once, older ones by a walk that nothing loses."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text

from inngest_py.domain.errors import Conflict, Invalid, NotFound
from inngest_py.domain.operations import operations as rules
from inngest_py.domain.runs.rerun import NewData
from inngest_py.engine.admin import rerun, search_key_walk, search_keys
from inngest_py.engine.operations import manage, walk
from inngest_py.engine.runtime.audit import Actor
from inngest_py.storage.db.session import Database
from inngest_py.storage.operations import pruning, run_walks
from inngest_py.storage.queries import audit_log, run_list
from inngest_py.storage.queries.run_filters import choosing
from inngest_py.storage.queries.run_filters.run_query import RunQuery
from tests.engine import flow
from tests.engine.harness import Engine, sequence
from tests.factories import reply

ORDER = {"order_id": "event.data.order_id"}


def declare(engine: Engine, **keys: str) -> None:
    search_keys.put(engine.ctx, "app-fn", {"keys": keys or ORDER}, Actor("ann"))


def found(engine: Engine, *pairs: tuple[str, str], **more: Any) -> list[str]:
    with engine.ctx.db.reading() as tx:
        query = RunQuery(keys=search_keys.checked(tx, pairs), **more)
        return [row["id"] for row in run_list.page(tx, query, first=100).rows]


def stored(engine: Engine) -> list[Any]:
    query = "SELECT key, value FROM run_search_keys ORDER BY run_id, key, value"
    return [tuple(row) for row in flow.rows(engine.ctx.db, query)]


def index(engine: Engine, most: int = 300) -> None:
    """Do all chunks that are due."""
    while search_key_walk.walk(engine.ctx, most):
        pass


def later(engine: Engine) -> None:
    engine.now += timedelta(seconds=91)


def shown(engine: Engine) -> Any:
    return search_keys.show(engine.ctx, "app-fn").keys


def test_new_runs_are_found_by_their_keys(db: Database) -> None:
    engine = Engine(db, sequence("a"))
    declare(engine)
    first = engine.start(data={"order_id": "A-1"})
    engine.now += timedelta(seconds=1)
    second = engine.start(data={"order_id": "A-1"})
    engine.start(data={"order_id": "A-2"})
    engine.start(data={})
    assert found(engine, ("order_id", "A-1")) == [second, first]
    assert found(engine, ("order_id", "A-3")) == []
    engine.drain()
    assert found(engine, ("order_id", "A-1")) == [second, first]


def test_all_keys_and_filters_must_hold(db: Database) -> None:
    engine = Engine(db, sequence("a"))
    declare(engine, **ORDER, region="event.data.region")
    one = engine.start(data={"order_id": 7, "region": "eu"})
    engine.now += timedelta(hours=3)
    other = engine.start(data={"order_id": 7, "region": "us"})
    assert found(engine, ("order_id", "7"), ("region", "eu")) == [one]
    assert found(engine, ("order_id", "7"), since=engine.now - timedelta(hours=1)) == [other]
    assert found(engine, ("order_id", "7"), until=engine.now - timedelta(hours=1)) == [one]
    assert found(engine, ("order_id", "7"), text='"us"') == [other]
    assert found(engine, ("order_id", "7"), function_ids=["x"]) == []


@pytest.mark.parametrize("most", [10_000, 0])
def test_frequent_values_are_looked_up_for_each_run(
    db: Database, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Beside another filter a frequent value does not lead; what is found is the same."""
    monkeypatch.setattr(choosing, "_MOST_LED", most)
    engine = Engine(db, sequence("a"))
    declare(engine, **ORDER, region="event.data.region")
    function_id = search_keys.show(engine.ctx, "app-fn").function_id
    made = [engine.start(data={"order_id": n, "region": "eu"}) for n in range(3)]
    with engine.ctx.db.reading() as tx:
        plain = RunQuery(keys=[("region", "eu"), ("order_id", "1")])
        assert choosing._leading(tx, plain) == ("order_id", "1")
        narrow = replace(plain, function_ids=[function_id])
        assert choosing._leading(tx, narrow) == (("order_id", "1") if most else None)
        for query in (plain, narrow):
            assert run_list.count(tx, query, 9) == 1
            assert [row["id"] for row in run_list.page(tx, query, first=5).rows] == [made[1]]
        assert choosing.can_count(tx, narrow) is bool(most)
        assert choosing.can_count(tx, replace(plain, keys=plain.keys[:1], from_id=made[0]))
        assert choosing.can_count(tx, RunQuery())
    assert found(engine, ("region", "eu"), function_ids=["x"]) == []


def test_pages_of_a_search_go_on(db: Database) -> None:
    engine = Engine(db, sequence("a"))
    declare(engine)
    made = []
    for _ in range(5):
        made.append(engine.start(data={"order_id": "A"}))
        engine.now += timedelta(milliseconds=1)
    seen: list[str] = []
    after = None
    with engine.ctx.db.reading() as tx:
        query = RunQuery(keys=[("order_id", "A")])
        while True:
            page = run_list.page(tx, query, first=2, after=after)
            seen += [row["id"] for row in page.rows]
            if not page.more:
                break
            after = page.end
        assert run_list.count(tx, query, 3) == 3
        assert run_list.count_by_function(tx, query, 9) == {"app-fn": 5}
    assert seen == made[::-1]


def test_functions_without_keys_pay_no_statement(db: Database) -> None:
    """The declaration of one function leaves the statements of another as they were."""
    engine = Engine(db, sequence("a"))
    flow.send(engine, {"n": 0})
    with flow.Statements(db) as before:
        flow.send(engine, *({"n": n} for n in range(20)))
    declare(engine)
    flow.send(engine, {"n": 0})
    with flow.Statements(db) as keyed:
        flow.send(engine, *({"n": n, "order_id": n} for n in range(20)))
    search_keys.remove(engine.ctx, "app-fn")
    flow.send(engine, {"n": 0})
    with flow.Statements(db) as after:
        flow.send(engine, *({"n": n, "order_id": n} for n in range(20)))
    assert after.seen == before.seen
    more = [one for one in keyed.seen if one not in before.seen]
    assert len(keyed.seen) > len(before.seen)
    assert all("run_search_keys" in one for one in more), more


def test_older_runs_are_indexed_in_chunks(db: Database) -> None:
    engine = Engine(db, sequence("a"))
    made = []
    for n in range(7):
        made.append(engine.start(data={"order_id": f"A-{n % 2}"}))
        engine.now += timedelta(milliseconds=1)
    declare(engine)
    assert (shown(engine)[0].is_indexed, shown(engine)[0].total) == (False, None)
    assert search_key_walk.walk(engine.ctx, 3)
    [key] = shown(engine)
    assert (key.done, key.total, key.is_indexed) == (3, 7, False)
    assert found(engine, ("order_id", "A-0")) == [made[6], made[4]]  # newest first
    with engine.ctx.db.reading() as tx:
        assert [one.name for one in search_keys.unfinished(tx, ["order_id"])] == ["order_id"]
    index(engine, 3)
    [key] = shown(engine)
    assert (key.done, key.total, key.is_indexed) == (7, 7, True)
    assert found(engine, ("order_id", "A-0")) == made[::-2]
    with engine.ctx.db.reading() as tx:
        assert search_keys.unfinished(tx, ["order_id"]) == []


def test_a_chunk_has_as_many_runs_as_its_events_leave_room_for(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_key_walk, "_MOST_CHARS", 3_000)
    engine = Engine(db, sequence("a"))
    for n, length in enumerate((10, 1_000, 1_000, 5_000, 10)):
        engine.start(data={"order_id": f"A-{n}", "text": "x" * length})
        engine.now += timedelta(milliseconds=1)
    declare(engine)
    seen = []
    while search_key_walk.walk(engine.ctx, 4) and len(seen) < 9:
        seen.append(shown(engine)[0].done)
    assert seen[:3] == [1, 2, 5]  # a large one alone
    assert shown(engine)[0].is_indexed
    assert len(stored(engine)) == 5


def test_batches_count_with_all_their_events(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_key_walk, "_MOST_CHARS", 3_000)
    engine = Engine(db, sequence("a"), batchEvents={"maxSize": 2, "timeout": "60s"})
    for n in range(2):
        flow.send(engine, *({"order_id": f"{n}{m}", "text": "x" * 1_000} for m in range(2)))
        engine.now += timedelta(milliseconds=1)
    declare(engine)
    assert search_key_walk.walk(engine.ctx, 4)
    assert shown(engine)[0].done == 1
    index(engine)
    assert len(stored(engine)) == 4


def test_a_run_that_was_committed_late_is_indexed(db: Database) -> None:
    """A transaction that has read the function before the declaration may commit after it."""
    engine = Engine(db, sequence("a"))
    late = engine.start(data={"order_id": "L"})
    declare(engine)
    index(engine)
    with engine.ctx.db.transaction() as tx:  # as if it had not been there yet
        tx.execute(text("DELETE FROM run_search_keys"))
    later(engine)
    assert found(engine, ("order_id", "L")) == []
    index(engine)
    assert found(engine, ("order_id", "L")) == [late]
    assert flow.rows(db, "SELECT state, due_at FROM search_keys")[0] == ("done", None)
    assert not search_key_walk.walk(engine.ctx)


def test_a_key_with_another_path_is_indexed_anew(db: Database) -> None:
    engine = Engine(db, sequence("a"))
    declare(engine)
    run_id = engine.start(data={"order_id": "old", "number": "new"})
    index(engine)
    declare(engine, order_id="event.data.number")
    index(engine)
    assert stored(engine) == [("order_id", "new")]
    assert found(engine, ("order_id", "new")) == [run_id]


def test_a_key_that_stays_keeps_its_index(db: Database) -> None:
    engine = Engine(db, sequence("a"))
    declare(engine)
    index(engine)
    later(engine)
    index(engine)
    declare(engine, **ORDER, region="event.data.region")
    assert [(key.name, key.is_indexed) for key in shown(engine)] == [
        ("order_id", True),
        ("region", False),
    ]


def test_a_removed_key_leaves_nothing(db: Database) -> None:
    engine = Engine(db, sequence("a"))
    declare(engine, **ORDER, region="event.data.region")
    engine.start(data={"order_id": "A", "region": "eu"})
    search_keys.put(engine.ctx, "app-fn", {"keys": {"region": "event.data.region"}})
    with pytest.raises(Invalid, match="no function declares"):
        found(engine, ("order_id", "A"))
    index(engine)
    later(engine)
    index(engine)
    assert stored(engine) == [("region", "eu")]
    assert [row[0] for row in flow.rows(db, "SELECT name FROM search_keys")] == ["region"]
    acts = _acts(engine)
    assert "search_keys.declare" in acts


def _acts(engine: Engine) -> list[str]:
    with engine.ctx.db.reading() as tx:
        return [row["action"] for row in audit_log.page(tx, first=10, after=None, name=None).rows]


def test_a_sync_keeps_the_keys(db: Database) -> None:
    engine = Engine(db, sequence("a"))
    declare(engine)
    engine.register(name="renamed")
    run_id = engine.start(data={"order_id": "A"})
    assert found(engine, ("order_id", "A")) == [run_id]


def test_reruns_have_the_keys_of_their_data(db: Database) -> None:
    engine = Engine(db, sequence("a"))
    declare(engine)
    run_id = engine.start(data={"order_id": "A"})
    engine.drain()
    engine.now += timedelta(seconds=1)
    again = rerun.rerun(engine.ctx, run_id)
    engine.now += timedelta(seconds=1)
    other = rerun.rerun(engine.ctx, run_id, NewData({"order_id": "B"}))
    assert found(engine, ("order_id", "A")) == [again, run_id]
    assert found(engine, ("order_id", "B")) == [other]


def test_an_event_batch_is_found_by_each_of_its_events(db: Database) -> None:
    engine = Engine(db, sequence("a"), batchEvents={"maxSize": 3, "timeout": "60s"})
    declare(engine)
    flow.send(engine, {"order_id": "A"}, {"order_id": "B"}, {"order_id": "A"})
    [run_id] = found(engine, ("order_id", "A"))
    assert found(engine, ("order_id", "B")) == [run_id]
    with engine.ctx.db.transaction() as tx:
        tx.execute(text("DELETE FROM run_search_keys"))
    index(engine)
    assert stored(engine) == [("order_id", "A"), ("order_id", "B")]


def test_a_run_that_is_pruned_meanwhile_leaves_no_values(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(db, sequence("a"))
    engine.start(data={"order_id": "A"})
    engine.drain()
    declare(engine)
    below = run_walks.below

    def pruned(tx: Connection, *given: Any) -> Any:
        found = below(tx, *given)
        pruning.prune_runs(tx, engine.now + timedelta(days=1), engine.now, 10)
        return found

    monkeypatch.setattr(run_walks, "below", pruned)
    index(engine)
    assert stored(engine) == []


def test_pruning_deletes_the_values_of_its_runs(db: Database) -> None:
    engine = Engine(db, sequence("a"))
    declare(engine)
    engine.start(data={"order_id": "A"})
    engine.drain()
    assert stored(engine) == [("order_id", "A")]
    with engine.ctx.db.transaction() as tx:
        pruning.prune_runs(tx, engine.now + timedelta(days=1), engine.now, 10)
    assert stored(engine) == []


def test_operations_take_the_filter(db: Database) -> None:
    engine = Engine(db, sequence("a"), retries=0)
    declare(engine)
    wanted = [engine.start(data={"order_id": 5}) for _ in range(2)]
    engine.start(data={"order_id": 6})
    engine.drain()
    engine.now += timedelta(seconds=1)
    body = {"kind": "rerun", "selection": {"keys": {"order_id": 5}}}
    asked = rules.parse(body, engine.now)
    with pytest.raises(Conflict, match="order_id is still being indexed"):
        manage.begin(engine.ctx, asked, Actor("ann"))
    index(engine)
    assert manage.preview(engine.ctx, asked).counted.total == 2
    manage.begin(engine.ctx, asked, Actor("ann"))
    while walk.next_chunk(engine.ctx):
        pass
    originals = flow.rows(db, "SELECT original_run_id FROM runs WHERE original_run_id IS NOT NULL")
    assert {row[0] for row in originals} == set(wanted)
    unknown = rules.parse({"kind": "rerun", "selection": {"keys": {"nope": "1"}}}, engine.now)
    with pytest.raises(Invalid, match=r"key\.nope"):
        manage.begin(engine.ctx, unknown, Actor("ann"))


def test_unknown_functions_are_named(db: Database) -> None:
    engine = Engine(db, lambda *_: reply(200, None))
    for act in (
        lambda: search_keys.show(engine.ctx, "nope"),
        lambda: search_keys.put(engine.ctx, "nope", {"keys": ORDER}),
        lambda: search_keys.remove(engine.ctx, "nope"),
    ):
        with pytest.raises(NotFound, match="nope"):
            act()
