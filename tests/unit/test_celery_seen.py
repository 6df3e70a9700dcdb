"""What the watcher of a Celery app sums up of its workers."""

from datetime import UTC, datetime, timedelta

import pytest

from inngest_py.domain.reports import celery_seen
from inngest_py.domain.reports.celery_seen import GoneTask, Running, Seen, Workers, did_you_mean

NOW = datetime(2026, 1, 1, tzinfo=UTC)
_POOL = {"pool": {"implementation": "celery.concurrency.prefork:TaskPool", "max-concurrency": 2}}


def _at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def _told(workers: Workers, host: str, *tasks: str, at: datetime = NOW) -> None:
    workers.told({host: tasks}, {host: _POOL}, {host: [{"name": "shop"}]}, at)


def test_what_is_stored_is_read_again() -> None:
    workers = Workers()
    _told(workers, "one@shop", "shop.add [rate_limit=10/m]", "celery.ping")
    workers.hold({"one@shop": [Running("t1", "shop.add", NOW)]}, {"one@shop": 3}, NOW)
    workers.queues = {"shop": 7}
    seen = workers.seen(Seen(), NOW)
    assert celery_seen.from_json(seen.to_json()) == seen
    [one] = seen.workers
    assert (one.pool, one.processes, one.queues, one.active, one.reserved) == (
        "prefork",
        2,
        ("shop",),
        1,
        3,
    )
    assert seen.tasks == ("shop.add",)
    assert (seen.messages("shop"), seen.messages("slow")) == (7, None)


def test_task_that_no_worker_has_any_more_is_gone_since_then() -> None:
    workers = Workers()
    _told(workers, "one@shop", "shop.add", "shop.old")
    before = workers.seen(Seen(), NOW)
    _told(workers, "one@shop", "shop.add", at=_at(5))
    seen = workers.seen(before, _at(5))
    assert (seen.tasks, seen.gone) == (("shop.add",), (GoneTask("shop.old", _at(5)),))
    later = workers.seen(seen, _at(9))
    assert later.gone == seen.gone
    _told(workers, "two@shop", "shop.old", at=_at(10))
    assert workers.seen(later, _at(10)).gone == ()


def test_workers_of_another_app_on_the_same_broker_are_left_out() -> None:
    workers = Workers("shop")
    _told(workers, "one@shop", "shop.add", "shop.slow")
    slow, other = [{"name": "slow"}], [{"name": "mail"}]
    workers.told({"two@shop": ["shop.slow"]}, {}, {"two@shop": slow}, NOW)
    workers.told({"one@mail": ["mail.send", "shop.add"]}, {}, {"one@mail": other}, NOW)
    seen = workers.seen(Seen(), NOW)
    assert [one.host for one in seen.workers] == ["one@shop", "two@shop"]
    assert seen.tasks == ("shop.add", "shop.slow")
    assert workers.read_queues == {"shop", "slow"}
    workers.left("one@shop")  # nobody reads the app's queue any more
    seen = workers.seen(seen, NOW)
    assert [one.host for one in seen.workers] == ["two@shop"]
    assert seen.tasks == ("shop.slow",)


def test_workers_count_for_an_app_of_which_nothing_else_is_known() -> None:
    """Its queue may have been given wrongly: what is there is shown."""
    workers = Workers("shops")
    _told(workers, "one@shop", "shop.add")
    assert workers.seen(Seen(), NOW).tasks == ("shop.add",)


def test_tasks_stay_while_no_worker_is_heard_of() -> None:
    workers = Workers()
    _told(workers, "one@shop", "shop.add")
    before = workers.seen(Seen(), NOW)
    silent = workers.seen(before, _at(60))
    assert (silent.tasks, silent.gone) == (("shop.add",), ())
    assert (len(silent.workers), silent.alive(_at(60))) == (1, [])
    workers.left("one@shop")
    assert workers.seen(silent, _at(61)).workers == ()
    assert Workers().seen(silent, _at(62)).tasks == ("shop.add",)


def test_heartbeats_keep_a_worker_alive_and_say_how_many_tasks_it_runs() -> None:
    workers = Workers()
    _told(workers, "one@shop", "shop.add")
    workers.heard("one@shop", _at(40), 2)
    [one] = workers.seen(Seen(), _at(60)).alive(_at(60))
    assert (one.heard, one.active, one.is_busy) == (_at(40), 2, True)
    assert workers.seen(Seen(), _at(3600)).workers == ()


def test_tasks_beyond_the_limit_are_counted_and_those_that_are_known_stay() -> None:
    workers = Workers()
    first = [f"shop.t{n:05}" for n in range(celery_seen.MOST_TASKS)]
    _told(workers, "one@shop", *first)
    before = workers.seen(Seen(), NOW)
    assert (len(before.tasks), before.left_out) == (len(first), 0)
    _told(workers, "one@shop", *first, "shop.a", "shop.b", at=_at(5))
    seen = workers.seen(before, _at(5))
    assert (seen.tasks, seen.gone, seen.left_out) == (tuple(first), (), 2)
    assert Workers().seen(seen, _at(6)).left_out == 2


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("shop.tasks.chrage", "; did you mean 'shop.tasks.charge' or 'shop.old.charge'?"),
        ("shop.charge", "; did you mean 'shop.old.charge' or 'shop.tasks.charge'?"),
        ("charge", "; did you mean 'shop.tasks.charge' or 'shop.old.charge'?"),
        ("shop.tasks.nothing", ""),
        ("", ""),
    ],
)
def test_names_that_are_near_are_asked_for(name: str, near: str) -> None:
    known = ["shop.tasks.charge", "shop.tasks.refund", "shop.old.charge", "shop.tasks.report"]
    assert did_you_mean(name, known) == near
