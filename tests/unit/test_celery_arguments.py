"""The arguments of a task that an event starts: expressions that fail say why."""

from datetime import UTC, datetime

import pytest

from inngest_py.domain.errors import Invalid
from inngest_py.domain.functions.celery_task import CeleryTask
from inngest_py.domain.functions.function_config import FunctionConfig
from inngest_py.domain.functions.task_inputs import signature

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _of(task: CeleryTask) -> FunctionConfig:
    return FunctionConfig("shop-t", "t", "celery://shop", celery=task)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (
            CeleryTask("t", args="[event.data.order]"),
            "not a boolean; a field that it names may be missing",
        ),
        (
            CeleryTask("t", kwargs="event.data.more"),
            "not a boolean; a field that it names may be missing",
        ),
        (CeleryTask("t", args="event.data"), "must be a list, not an object"),
    ],
)
def test_expression_without_a_list_or_object_is_refused(task: CeleryTask, message: str) -> None:
    with pytest.raises(Invalid) as refused:
        signature(_of(task), [{"name": "a", "data": {}}], invoked=False, now=NOW)
    assert message in refused.value.message


def test_whole_numbers_of_an_event_are_integers() -> None:
    """In expressions all numbers of an event are doubles; a task may need `range(count)`."""
    data = {"n": 5, "rate": 0.5, "rows": [1, 2.5], "big": 2**60}
    task = CeleryTask("t", args="[event.data.n, event.data.rate, event.data.rows, event.data.big]")
    made = signature(_of(task), [{"name": "a", "data": data}], invoked=False, now=NOW)
    assert isinstance(made, dict)
    assert repr(made["args"]) == "[5, 0.5, [1, 2.5], 1.152921504606847e+18]"
