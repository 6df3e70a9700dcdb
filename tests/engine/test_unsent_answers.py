"""Tasks whose worker tells a failure that is a loss: see domain/reply/task_losses.py."""

from typing import Any

import pytest
from celery import chain

from inngest_py.domain.values import canonical
from inngest_py.engine.apps import task_settings
from inngest_py.engine.runtime.celery_apps import TaskMessage
from inngest_py.engine.upkeep import lost_tasks, sent_tasks
from inngest_py.storage.db.session import Database
from inngest_py.storage.queue import sent_tasks as sent_rows
from tests.engine.shop import Shop, add
from tests.unit.test_task_losses import BROKER, REFUSED, part

_UNKNOWN = {"name": "NotRegistered", "message": "NotRegistered('shop.add')", "stack": ""}
_UNSENT = {
    "name": "OperationalError",
    "message": REFUSED,
    "stack": part("_dispatch_callbacks_and_chain(", BROKER),
}


@pytest.fixture
def engine(db: Database) -> Shop:
    return Shop(db)


def _tell(engine: Shop, message: TaskMessage, error: Any, *, answered: bool) -> None:
    """Tell of a failure as the watcher does; with `answered` an answer came, too."""
    if not answered:
        sent_tasks.run_once(engine.ctx)
        lost_tasks.fail(engine.ctx, {message.task_id: error})
        engine.advance()
        return
    text = canonical.dumps(error).decode()
    with engine.ctx.db.transaction() as tx:
        sent_rows.note_failures(
            tx, [{"task_id": message.task_id, "error": text, "failed_at": engine.now}]
        )
    assert engine.answer(message, failed=True) == []
    engine.advance()


@pytest.mark.parametrize(
    ("error", "answered"), [(_UNKNOWN, False), (_UNSENT, False), (_UNSENT, True)]
)
def test_lost_answer_sends_the_task_again(engine: Shop, error: Any, answered: bool) -> None:
    run_id = engine.send(chain(add.s(1, 2), add.s(10)))
    ids = []
    for _ in range(2):
        [message] = engine.take()
        ids.append(message.task_id)
        _tell(engine, message, error, answered=answered)
    assert engine.run(run_id)["status"] == "running"
    engine.finish()
    assert canonical.loads(engine.run(run_id)["output"]) == 13
    assert len(set(ids)) == 2


@pytest.mark.parametrize("answered", [False, True])
def test_task_that_is_lost_each_time_fails_its_run(engine: Shop, answered: bool) -> None:
    """A loss is no retry, however many the function has."""
    task_settings.configure(engine.ctx, "shop", "shop.add", {"retries": 5})
    run_id = engine.send(add.s(1, 2))
    for _ in range(4):
        [message] = engine.take()
        _tell(engine, message, _UNSENT, answered=answered)
    assert engine.take() == []
    run = engine.run(run_id)
    error = canonical.loads(run["output"])["error"]
    assert (run["status"], error["name"]) == ("failed", "TaskLost")
    assert error["message"].startswith("its worker could not send the answer: OperationalError")


def test_on_lost_says_what_follows(engine: Shop) -> None:
    task_settings.configure(engine.ctx, "shop", "shop.add", {"on_lost": "fail"})
    run_id = engine.send(add.s(1, 2))
    [message] = engine.take()
    _tell(engine, message, _UNKNOWN, answered=False)
    error = canonical.loads(engine.run(run_id)["output"])["error"]
    assert error["name"] == "TaskLost"
    assert "none of the name 'shop.add': start workers" in error["message"]
