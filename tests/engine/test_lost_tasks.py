"""Celery tasks that are lost, late, or not wanted any more."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import chain, group
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from inngest_py.domain.steps.task_executions import RECEIVED, STARTED, Executions
from inngest_py.domain.steps.task_states import LOOKS, Held
from inngest_py.domain.values import canonical
from inngest_py.engine.runtime.celery_apps import BrokerAway, CeleryApp, TaskMessage
from inngest_py.engine.upkeep import lease_keeping, lost_tasks, sent_tasks
from inngest_py.engine.work.celery_tasks import unanswered_tasks
from inngest_py.engine.work.celery_tasks.task_answers import apply_answers
from inngest_py.engine.work.end_run import cancel
from inngest_py.storage.db import deadlines
from inngest_py.storage.db.session import Database
from inngest_py.storage.queue import sent_tasks as sent_rows
from inngest_py.tasks.celery_apps.watching import Watcher
from tests.databases import copied
from tests.engine.shop import Shop, add, counted


@pytest.fixture
def shop_engine(db: Database) -> Shop:
    return Shop(db)


def test_lost_sender_sends_the_same_task_again(shop_engine: Shop) -> None:
    """The worker died after it had sent the task and before it wrote that."""
    run_id = shop_engine.send(add.s(1, 2))
    [first] = shop_engine.take()
    shop_engine.ctx.celery_apps.forget_sent([shop_engine.queued(run_id)[0]["id"]])
    shop_engine.lapse()
    [second] = shop_engine.take()
    assert second.task_id == first.task_id
    shop_engine.answer(first)
    assert canonical.loads(shop_engine.run(run_id)["output"]) == 3
    shop_engine.answer(second)


@pytest.mark.parametrize("failed", [False, True])
def test_answer_that_comes_before_its_task_is_sent_again_counts(
    shop_engine: Shop, failed: bool
) -> None:
    """A server that starts again frees the items of the one before, whose answers are waiting."""
    run_id = shop_engine.send(add.s(1, 2))
    [message] = shop_engine.take()
    shop_engine.ctx.celery_apps.written(shop_engine.ctx.celery_apps.sent())  # its sender was killed
    lease_keeping.recover(shop_engine.ctx)
    if failed:
        shop_engine.fail(message)
    else:
        shop_engine.answer(message)
    shop_engine.advance(seconds=60)
    assert shop_engine.take() == []
    assert shop_engine.run(run_id)["status"] == ("failed" if failed else "completed")


def test_late_answer_does_not_hide_one_that_comes_with_it(shop_engine: Shop) -> None:
    """Both are of one item: of an attempt that was lost, and of the one after."""
    run_id = shop_engine.send(add.s(1, 2))
    [first] = shop_engine.take()
    sent_tasks.run_once(shop_engine.ctx)
    shop_engine.now += timedelta(minutes=1)
    for _ in range(LOOKS):
        look(shop_engine, {}, ["celery@one"], waiting=0)
    [second] = shop_engine.take()
    shop_engine.answer(first, second)
    assert shop_engine.run(run_id)["status"] == "completed"


def look(engine: Shop, held: dict[str, Held], hosts: Sequence[str], waiting: int = 0) -> None:
    sent = lost_tasks.sent(engine.ctx, engine.app_id)
    queues = {task.queue: waiting for task in sent.values()}
    lost_tasks.compare(engine.ctx, sent, held, hosts=frozenset(hosts), waiting=queues)
    engine.advance()


def test_task_of_a_dead_worker_is_sent_again_three_times(shop_engine: Shop) -> None:
    run_id = shop_engine.send(add.s(1, 2))
    for number in range(4):
        [message] = shop_engine.take()
        sent_tasks.run_once(shop_engine.ctx)
        held = Held("celery@one", shop_engine.now)
        look(shop_engine, {message.task_id: held}, ["celery@one"])
        for _ in range(LOOKS):
            assert shop_engine.take() == []
            look(shop_engine, {}, ["celery@two"])
        assert message.task_id.endswith(f"-{number}")
    run = shop_engine.run(run_id)
    error = canonical.loads(run["output"])["error"]
    assert run["status"] == "failed"
    assert error["name"] == "TaskLost"
    assert "celery@one has not been heard of for 30 s while it ran" in error["message"]


@pytest.mark.parametrize("host", ["celery@one", "celery@two"])
def test_task_of_a_worker_that_died_between_two_looks_is_sent_again(
    shop_engine: Shop, host: str
) -> None:
    """Its queue is never empty, so that it might wait there; only events tell who has it.

    A supervisor starts a worker again under its name.
    """
    shop_engine.send(add.s(1, 2))
    [first] = shop_engine.take()
    sent_tasks.run_once(shop_engine.ctx)
    ctx, queue, executions = shop_engine.ctx, shop_engine.app().queue, Executions()
    event = {"uuid": first.task_id, "root_id": first.root_id, "hostname": "celery@one"}
    for kind in (RECEIVED, STARTED):
        stamped = {**event, "timestamp": shop_engine.now.timestamp()}
        executions.note(kind, first.task_id, stamped)
    for _ in range(LOOKS):
        assert shop_engine.take() == []
        sent = lost_tasks.sent(ctx, shop_engine.app_id, busy=[queue])
        sent |= lost_tasks.received(ctx, sent, executions.held())
        hosts = frozenset({host})
        lost_tasks.compare(ctx, sent, {}, hosts=hosts, waiting={queue: 9})
        shop_engine.advance()
    [second] = shop_engine.take()
    assert second.task_id != first.task_id


@pytest.mark.parametrize("how", ["retried", "left"])
def test_task_that_waits_in_its_queue_again_is_not_lost(shop_engine: Shop, how: str) -> None:
    """By Celery's own retry, or as its worker stopped before it began: the queue may be long."""
    ctx, queue = shop_engine.ctx, shop_engine.app().queue
    run_id = shop_engine.send(add.s(1, 2))
    [message] = shop_engine.take()
    sent_tasks.run_once(ctx)
    name, executions = message.task_id, Executions()
    held = Held("celery@one", shop_engine.now if how == "retried" else None)
    look(shop_engine, {name: held}, ["celery@one"], waiting=9)
    event = {"uuid": name, "root_id": message.root_id, "hostname": "celery@one"}
    event["timestamp"] = shop_engine.now.timestamp()
    if how == "retried":
        executions.note(RECEIVED, name, event)
        executions.note(STARTED, name, event)
        executions.retried(name, event, {"name": "Retry"})
    left = {"celery@one"} - ({"celery@one"} if how == "retried" else set())
    for _ in range(2 * LOOKS):
        sent = lost_tasks.sent(ctx, shop_engine.app_id, busy=[queue])
        retried = executions.awaited()
        sent |= lost_tasks.given_back(ctx, sent, {}, retried=retried, left=left)
        lost_tasks.compare(ctx, sent, {}, hosts=frozenset(), waiting={queue: 9})
        shop_engine.advance()
        left = set()
    assert shop_engine.take() == []
    shop_engine.answer(message)
    assert shop_engine.run(run_id)["status"] == "completed"


def test_task_that_the_broker_lost_is_sent_again(shop_engine: Shop) -> None:
    shop_engine.send(add.s(1, 2))
    [first] = shop_engine.take()
    sent_tasks.run_once(shop_engine.ctx)
    for _ in range(5):
        look(shop_engine, {}, ["celery@one"], waiting=3)  # it may wait in the queue
        shop_engine.now += timedelta(seconds=30)
    assert shop_engine.take() == []
    for _ in range(LOOKS):
        look(shop_engine, {}, [])  # no worker answers: one may have it
    assert shop_engine.take() == []
    for _ in range(LOOKS):
        look(shop_engine, {}, ["celery@one"], waiting=0)
    [second] = shop_engine.take()
    assert second.task_id != first.task_id
    assert revoked(shop_engine) == [first.task_id]  # should the broker give it back after all


def test_tasks_in_a_queue_that_is_not_empty_are_not_read(shop_engine: Shop) -> None:
    """There may be ten thousand of them, at every look."""
    shop_engine.send(group([add.s(1, n) for n in range(5)]))
    shop_engine.send(add.s(1, 2).set(queue="other"))
    waiting, held, missed, *_, other = [one.task_id for one in shop_engine.take()]
    sent_tasks.run_once(shop_engine.ctx)
    known = {name: lost_tasks.named(shop_engine.ctx, [name]) for name in (held, missed)}
    shop_engine.now += timedelta(minutes=1)
    for name, hosts in ((held, ["celery@one"]), (missed, ["celery@two"])):
        found = {held: Held("celery@one", shop_engine.now)} if name == held else {}
        lost_tasks.compare(shop_engine.ctx, known[name], found, hosts=frozenset(hosts), waiting={})
    app_id = shop_engine.app_id
    assert len(lost_tasks.sent(shop_engine.ctx, app_id)) == 6
    read = lost_tasks.sent(shop_engine.ctx, app_id, busy=[shop_engine.app().queue])
    assert set(read) == {held, missed, other}
    assert set(lost_tasks.named(shop_engine.ctx, [waiting, f"{waiting}0"])) == {waiting}


def test_many_lost_tasks_are_sent_again_in_a_few_transactions(shop_engine: Shop) -> None:
    runs = [shop_engine.send(add.s(number, 1)) for number in range(50)]
    first = shop_engine.take()
    sent_tasks.run_once(shop_engine.ctx)
    with counted(shop_engine.ctx.db) as statements:
        unanswered_tasks.end_lost(shop_engine.ctx, {one.task_id: "flushed" for one in first})
    assert sum(one.startswith("BEGIN") for one in statements) <= 3
    shop_engine.advance()
    second = shop_engine.take()
    assert {one.task_id for one in second} == {one.task_id[:-1] + "1" for one in first}
    assert revoked(shop_engine) == sorted(one.task_id for one in first)
    # what is said of an attempt that is over touches no other
    unanswered_tasks.end_lost(shop_engine.ctx, {one.task_id: "flushed" for one in first})
    unanswered_tasks.end_failed(shop_engine.ctx, {one.task_id: {"name": "No"} for one in first})
    shop_engine.answer(*second)
    assert {shop_engine.run(run_id)["status"] for run_id in runs} == {"completed"}


def revoked(engine: Shop) -> list[str]:
    with engine.ctx.db.transaction() as tx:
        found = sent_rows.revocations(tx, engine.app_id, 100)
    return sorted(one.task_id for one in found)


def test_revocations_wait_for_a_worker(shop_engine: Shop) -> None:
    """Nobody hears them while the workers are restarted, and the tasks are still in the queue."""
    run_id = shop_engine.send(add.s(1, 2))
    [message] = shop_engine.take()
    sent_tasks.run_once(shop_engine.ctx)
    cancel(shop_engine.ctx, run_id)
    said: list[Sequence[str]] = []
    control = SimpleNamespace(revoke=lambda names, terminate: said.append(names))
    client: Any = SimpleNamespace(control=control)
    watcher = Watcher(shop_engine.app(), lambda: shop_engine.ctx)
    watcher._revoke(client)
    assert (said, revoked(shop_engine)) == ([], [message.task_id])
    watcher._note_worker("worker-heartbeat", {"hostname": "celery@one"})
    watcher._revoke(client)
    assert (said, revoked(shop_engine)) == ([[message.task_id]], [])


def test_task_sent_again_while_its_first_sending_is_written_is_written_too(
    shop_engine: Shop,
) -> None:
    run_id = shop_engine.send(add.s(1, 2))
    apps = shop_engine.ctx.celery_apps
    first = apps.sent()
    shop_engine.lapse()  # under a new lease
    apps.written(first)
    sent_tasks.run_once(shop_engine.ctx)
    [item] = shop_engine.queued(run_id)
    assert item["worker"] == f"celery:{shop_engine.app_id}"


def test_heartbeat_does_not_shorten_the_lease_of_the_app(shop_engine: Shop) -> None:
    """It may be under way while the task is handed over to the app under the same lease id."""
    run_id = shop_engine.send(add.s(1, 2))
    [message] = shop_engine.take()
    [sent] = shop_engine.ctx.celery_apps.sent()
    sent_tasks.run_once(shop_engine.ctx)
    shop_engine.ctx.leases.hold(sent.item)
    lease_keeping.extend(shop_engine.ctx)
    shop_engine.ctx.leases.drop(sent.item)
    shop_engine.lapse()
    assert shop_engine.take() == []
    shop_engine.answer(message)
    assert shop_engine.run(run_id)["status"] == "completed"


def test_task_that_could_not_be_sent_is_not_written_as_sent(shop_engine: Shop) -> None:
    """To find out that the broker is away takes longer than to write what was sent."""
    run_id = shop_engine.send(add.s(1, 2))
    shop_engine.take()
    shop_engine.ctx.celery_apps.written(shop_engine.ctx.celery_apps.sent())  # its sender was killed

    class Away:
        def send(self, app: CeleryApp, message: TaskMessage) -> None:
            sent_tasks.run_once(shop_engine.ctx)
            raise BrokerAway("no answer")

    shop_engine.ctx.celery_apps.brokers = Away()
    shop_engine.lapse()
    shop_engine.ctx.celery_apps.brokers = shop_engine.brokers
    shop_engine.look_at_lines()
    [message] = shop_engine.take()
    shop_engine.answer(message)
    assert shop_engine.run(run_id)["status"] == "completed"


def test_task_over_its_time_fails(shop_engine: Shop) -> None:
    run_id = shop_engine.send(add.s(1, 2))
    [message] = shop_engine.take()
    sent_tasks.run_once(shop_engine.ctx)
    look(shop_engine, {message.task_id: Held("celery@one", shop_engine.now)}, ["celery@one"])
    shop_engine.now += timedelta(hours=1, minutes=59)
    shop_engine.lapse()
    assert shop_engine.run(run_id)["status"] == "running"
    shop_engine.now += timedelta(minutes=2)
    shop_engine.lapse()
    assert canonical.loads(shop_engine.run(run_id)["output"])["error"]["name"] == "TaskTimeout"


@pytest.mark.parametrize("limited", [False, True])
@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize("canvas", [group([add.s(n, n) for n in range(3)]), add.s(1, 2)])
def test_cancelled_run_has_its_tasks_revoked(
    shop_engine: Shop, limited: bool, written: bool, canvas: Any
) -> None:
    if limited:
        shop_engine.limit("celery.canvas", 5)
        shop_engine.limit("shop.add", 5)
    run_id = shop_engine.send(canvas)
    sent = shop_engine.take()
    if written:
        sent_tasks.run_once(shop_engine.ctx)
    cancel(shop_engine.ctx, run_id)
    assert revoked(shop_engine) == sorted(message.task_id for message in sent)
    shop_engine.answer(*sent)
    assert shop_engine.run(run_id)["status"] == "cancelled"
    assert shop_engine.queued(run_id) == []


_REFUSES_TWICE = """
CREATE SEQUENCE tries;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('tries') <= 2 THEN RAISE EXCEPTION 'no room' USING ERRCODE = '53100'; END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER refuses BEFORE UPDATE ON runs FOR EACH STATEMENT EXECUTE FUNCTION refuse()
"""


@pytest.mark.parametrize("count", [1, 2])
def test_answers_outlast_an_outage_that_ends_between_two_tries(
    request: pytest.FixtureRequest, tmp_path: Path, count: int
) -> None:
    """A try that an outage ends is no answer that cannot be stored."""
    with copied(request, "postgresql", tmp_path) as db:
        engine = Shop(db)
        runs = [engine.send(add.s(number, 1)) for number in range(count)]
        answers = [engine.made(message) for message in engine.take()]
        with db.transaction() as tx:
            tx.execute(text(_REFUSES_TWICE))
        for _ in range(2):
            with deadlines.within(30), pytest.raises(OperationalError):
                apply_answers(engine.ctx, answers)
            # else their leases would lapse, and they would be sent again
            assert len(engine.ctx.celery_apps.sent()) == count
        apply_answers(engine.ctx, answers)
        assert {engine.run(run_id)["status"] for run_id in runs} == {"completed"}


def test_failure_without_an_answer_outlasts_an_outage(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Else its task would count as lost, and run again."""
    with copied(request, "postgresql", tmp_path) as db:
        engine = Shop(db)
        run_id = engine.send(add.s(1, 1))
        [message] = engine.take()
        sent_tasks.run_once(engine.ctx)
        watcher = Watcher(engine.app(), lambda: engine.ctx)
        watcher._unanswered[message.task_id] = 0.0, {"name": "TaskRevoked", "message": "no"}
        with db.transaction() as tx:
            tx.execute(text(_REFUSES_TWICE))
        for _ in range(2):
            with deadlines.within(30), pytest.raises(OperationalError):
                watcher._fail_unanswered(engine.ctx)
        watcher._fail_unanswered(engine.ctx)
        error = canonical.loads(engine.run(run_id)["output"])["error"]
        assert error["name"] == "TaskRevoked"
        assert not watcher._unanswered


_FAILS_THEN_REFUSES = """
CREATE SEQUENCE tries;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE tried bigint := nextval('tries');
BEGIN
    IF tried = 1 THEN RAISE EXCEPTION 'void' USING ERRCODE = '23514'; END IF;
    IF tried > 2 THEN RAISE EXCEPTION 'no room' USING ERRCODE = '53100'; END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER refuses BEFORE UPDATE ON runs FOR EACH STATEMENT EXECUTE FUNCTION refuse()
"""


def test_run_continues_whose_answer_was_stored_just_before_an_outage(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Else this process would hold its next item, and nobody would run it."""
    with copied(request, "postgresql", tmp_path) as db:
        engine = Shop(db)
        for _ in range(2):
            engine.send(chain(add.s(1, 1), add.s(1)))
        answers = [engine.made(message) for message in engine.take()]
        with db.transaction() as tx:
            tx.execute(text(_FAILS_THEN_REFUSES))
        with deadlines.within(30), pytest.raises(OperationalError):
            apply_answers(engine.ctx, answers)
        assert len(engine.take()) == 1
        assert engine.ctx.leases.all() == []
