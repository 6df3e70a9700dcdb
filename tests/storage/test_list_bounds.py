"""Lists bound ids by times, and still find ids that were made by a clock that is a little off."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import column, update

from inngest_py.domain.values import ids
from inngest_py.engine.intake import publish
from inngest_py.storage.db.keyset import within
from inngest_py.storage.db.session import Database
from inngest_py.storage.queries import event_list, run_list
from inngest_py.storage.queries.event_list import EventQuery
from inngest_py.storage.queries.run_filters.run_query import RunQuery
from inngest_py.storage.runs.runs import RunRow
from tests.engine.harness import NOW, Engine, sequence

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, tzinfo=UTC),
    ],
)
def test_first_and_last_time_can_be_bounds(moment: datetime) -> None:
    assert len(within(column("id"), moment, moment)) == 2


def test_runs_between_two_times(db: Database) -> None:
    engine = Engine(db, sequence("one"))
    made = []
    for _ in range(4):
        made.append(engine.start())
        engine.now += MINUTE
    since, until = NOW + MINUTE, NOW + 3 * MINUTE
    query = RunQuery(since=since, until=until)
    with db.reading() as tx:
        by_time = run_list.page(tx, query, run_list.order([("queued_at", True)]), first=9)
        rising = run_list.page(tx, query, run_list.order([("queued_at", False)]), first=9)
        by_id = run_list.page(tx, query, first=9)
    assert [row["id"] for row in by_time.rows] == [made[2], made[1]]
    assert [row["id"] for row in rising.rows] == [made[1], made[2]]
    assert [row["id"] for row in by_id.rows] == [made[2], made[1]]


@pytest.mark.parametrize("minutes", [-50, 50])
def test_a_run_whose_id_another_clock_made_is_found(db: Database, minutes: int) -> None:
    engine = Engine(db, sequence("one"))
    run_id, other = engine.start(), ids.lowest_ulid(NOW, timedelta(minutes=minutes))
    with db.transaction() as tx:
        tx.execute(update(RunRow).where(RunRow.id == run_id).values(id=other))
    span = RunQuery(since=NOW, until=NOW + MINUTE)
    with db.reading() as tx:
        assert run_list.count(tx, span, 10) == 1
        assert len(run_list.page(tx, span, first=9).rows) == 1


def test_page_continues_after_a_time_and_an_id(db: Database) -> None:
    engine = Engine(db, sequence("one"))
    made = [engine.start() for _ in range(3)]
    by = run_list.order([("queued_at", True)])
    with db.reading() as tx:
        first = run_list.page(tx, RunQuery(), by, first=1)
        assert first.more
        place = by.position_of(first.next)
        rest = run_list.page(tx, RunQuery(), by, first=9, after=place)
    assert place == first.end
    assert [row["id"] for row in (*first.rows, *rest.rows)] == sorted(made, reverse=True)
    assert rest.next is None


@pytest.mark.parametrize("field", ["started_at", "ended_at"])
def test_span_leaves_out_runs_whose_time_has_not_come(db: Database, field: str) -> None:
    engine = Engine(db, sequence("one"))
    over = engine.start()
    engine.drain()
    waiting = engine.start()
    by = run_list.order([(field, True)])
    with db.reading() as tx:
        every = run_list.page(tx, RunQuery(time_field=field), by, first=9)
        since = RunQuery(time_field=field, since=NOW - MINUTE)
        known = run_list.page(tx, since, by, first=9)
    assert [row["id"] for row in every.rows] == [waiting, over]
    assert [row["id"] for row in known.rows] == [over]


def test_event_of_a_sender_whose_clock_is_ahead_is_found_by_its_receipt(db: Database) -> None:
    engine = Engine(db, sequence("one"))
    ahead = ids.lowest_ulid(NOW, timedelta(minutes=50))
    event = engine.event()
    publish.accept(engine.ctx, [replace(event, id=ahead)])
    with db.reading() as tx:
        found = event_list.page(tx, EventQuery(until=NOW + MINUTE), first=9)
    assert [row["id"] for row in found.rows] == [ahead]
