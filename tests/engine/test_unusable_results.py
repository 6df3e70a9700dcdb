"""Results of Celery tasks that cannot be stored: each fails its task, as its worker could have."""

from typing import Any

import pytest
from celery import chain

from inngest_py.domain import limits
from inngest_py.domain.values import canonical
from inngest_py.engine.work.celery_tasks.task_answers import apply_answers
from inngest_py.storage.db.session import Database
from tests.engine.shop import Shop, add, total


@pytest.fixture
def shop_engine(db: Database) -> Shop:
    return Shop(db)


def test_answer_of_which_nothing_can_be_made_fails_its_run_alone(shop_engine: Shop) -> None:
    """Else it would come again for ever, and with it all answers beside it."""
    bad, good = shop_engine.send(add.s(1, 2)), shop_engine.send(add.s(1, 2))
    one, two = shop_engine.take()
    lone_surrogate = shop_engine.made(one, value="\ud800")
    assert apply_answers(shop_engine.ctx, [lone_surrogate, shop_engine.made(two)]) == []
    assert shop_engine.run(bad)["status"] == "failed"
    assert "cannot be written as JSON" in shop_engine.run(bad)["output"]
    assert shop_engine.run(good)["status"] == "completed"


@pytest.mark.parametrize(
    ("answer", "name", "message"),
    [
        ({"value": "x" * limits.MAX_STEP_BYTES}, "InngestErrOutputTooLarge", "is over 4194304 byt"),
        ({"unreadable": "NaN is no JSON"}, "InvalidAnswer", "cannot be stored: NaN is no JSON"),
    ],
)
def test_result_that_cannot_be_stored_fails_its_step(
    shop_engine: Shop, answer: dict[str, Any], name: str, message: str
) -> None:
    """So the step is shown with its worker, its errbacks are called, and it can be repeated."""
    bad = add.s(10).set(link_error=total.si([1, 2]))
    run_id = shop_engine.send(chain(add.s(1, 2), bad, add.s(100)))
    shop_engine.answer(*shop_engine.take())
    shop_engine.answer(*shop_engine.take(), **answer)
    shop_engine.answer(*shop_engine.take())  # the errback
    run = shop_engine.run(run_id)
    error = canonical.loads(run["output"])["error"]
    assert (run["status"], error["name"]) == ("failed", name)
    assert message in error["message"]
    assert shop_engine.tried(run_id)[:3] == [
        ("add [1/3]", "completed", 0),
        ("add [2/3]", "failed", 0),
        ("total after add [2/3] failed", "completed", 0),
    ]
