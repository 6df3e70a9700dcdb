"""Lists bound ids by times, and still find ids that were made by a clock that is a little off."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import column, update

from inngest_py.domain.values import ids
from inngest_py.engine.intake import publish
from inngest_py.storage.db.keyset import within
from inngest_py.storage.db.session import Database
from inngest_py.storage.events import events
from inngest_py.storage.queries import run_lists, run_lookups
from inngest_py.storage.queries.run_lists import RunQuery
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
        by_time = run_lists.page(tx, query, run_lists.order([("queued_at", True)]), limit=9)
        rising = run_lists.page(tx, query, run_lists.order([("queued_at", False)]), limit=9)
        plain = run_lookups.page(tx, limit=9, after=since, before=until)
    assert [row["id"] for row in by_time] == [made[2], made[1]]
    assert [row["id"] for row in rising] == [made[1], made[2]]
    assert [row["id"] for row in plain] == [made[2], made[1]]


@pytest.mark.parametrize("minutes", [-50, 50])
def test_a_run_whose_id_another_clock_made_is_found(db: Database, minutes: int) -> None:
    engine = Engine(db, sequence("one"))
    run_id, other = engine.start(), ids.lowest_ulid(NOW, timedelta(minutes=minutes))
    with db.transaction() as tx:
        tx.execute(update(RunRow).where(RunRow.id == run_id).values(id=other))
    span = RunQuery(since=NOW, until=NOW + MINUTE)
    with db.reading() as tx:
        assert run_lists.count(tx, span, 10) == 1
        assert len(run_lookups.page(tx, limit=9, after=span.since, before=span.until)) == 1


def test_page_continues_after_a_time_and_an_id(db: Database) -> None:
    engine = Engine(db, sequence("one"))
    made = [engine.start() for _ in range(3)]
    keys = run_lists.order([("queued_at", True)])
    with db.reading() as tx:
        first = run_lists.page(tx, RunQuery(), keys, limit=1)
        place = run_lists.position(keys, first[0])
        rest = run_lists.page(tx, RunQuery(), keys, limit=9, position=place)
    assert len(place) == 2
    assert [row["id"] for row in (*first, *rest)] == sorted(made, reverse=True)


@pytest.mark.parametrize("field", ["started_at", "ended_at"])
def test_span_leaves_out_runs_whose_time_has_not_come(db: Database, field: str) -> None:
    engine = Engine(db, sequence("one"))
    over = engine.start()
    engine.drain()
    waiting = engine.start()
    keys = run_lists.order([(field, True)])
    with db.reading() as tx:
        every = run_lists.page(tx, RunQuery(time_field=field), keys, limit=9)
        since = RunQuery(time_field=field, since=NOW - MINUTE)
        known = run_lists.page(tx, since, keys, limit=9)
    assert [row["id"] for row in every] == [waiting, over]
    assert [row["id"] for row in known] == [over]


def test_event_of_a_sender_whose_clock_is_ahead_is_found_by_its_receipt(db: Database) -> None:
    engine = Engine(db, sequence("one"))
    ahead = ids.lowest_ulid(NOW, timedelta(minutes=50))
    event = engine.event()
    publish.accept(engine.ctx, [replace(event, id=ahead)])
    with db.reading() as tx:
        found = events.page(tx, limit=9, before=NOW + MINUTE)
    assert [row["id"] for row in found] == [ahead]
