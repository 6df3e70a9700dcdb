"""The rows of executions of Celery tasks: whose they are, and when they go."""

from dataclasses import replace
from datetime import timedelta

from inngest_py.domain.steps.task_executions import Execution
from inngest_py.engine.upkeep import celery_watch
from inngest_py.storage.db.session import Database
from inngest_py.storage.operations import pruning
from inngest_py.storage.queries import timeline_rows
from inngest_py.storage.queue import task_executions
from tests.engine.shop import Shop, add


def _stored(shop: Shop, run_id: str) -> list[Execution]:
    with shop.ctx.db.reading() as tx:
        found = timeline_rows.executions_of(tx, run_id)
    return [one for executions in found.values() for one in executions]


def test_executions_are_stored_once_and_go_with_their_run(db: Database) -> None:
    shop = Shop(db)
    run_id = shop.send(add.s(1, 2))
    [message] = shop.take()
    first = Execution(run_id, message.task_id, 0, "celery@x", shop.now)
    celery_watch.note_executions(shop.ctx, [first])
    begun = Execution(run_id, message.task_id, 0, "celery@x", shop.now, shop.now)
    celery_watch.note_executions(shop.ctx, [begun])
    assert _stored(shop, run_id) == [begun]
    shop.answer(message)
    later = shop.now + timedelta(days=1)
    with shop.ctx.db.transaction() as tx:
        assert pruning.prune_runs(tx, later, later, 10).runs == 1
    assert _stored(shop, run_id) == []


def test_watchers_of_apps_that_share_a_broker_tell_the_same_execution(db: Database) -> None:
    shop = Shop(db)
    run_id = shop.send(add.s(1, 2))
    [message] = shop.take()
    received = Execution(run_id, message.task_id, 0, "celery@x", shop.now)
    begun = replace(received, started=shop.now)
    again = replace(begun, host="celery@y", received=shop.now + timedelta(seconds=1), started=None)
    for told in ([begun, received], [again, begun]):
        with shop.ctx.db.transaction() as tx:  # as one commit of several watchers does
            task_executions.put(tx, told)
        assert _stored(shop, run_id) == told[:1]


def test_those_of_another_installations_run_are_passed_over(db: Database) -> None:
    shop = Shop(db)
    other = "01J00000000000000000000000"
    strange = Execution(other, f"{other.lower()}-0", 0, "celery@x", shop.now)
    celery_watch.note_executions(shop.ctx, [strange])
    assert _stored(shop, other) == []
