"""The arguments of a task that an event starts: expressions that fail say why."""

from datetime import UTC, datetime

import pytest

from inngest_py.domain.errors import Invalid
from inngest_py.domain.functions.celery_task import CeleryTask
from inngest_py.domain.functions.function_config import FunctionConfig
from inngest_py.domain.functions.task_inputs import signature

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ID = 2**53 + 1


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


@pytest.mark.parametrize("data", [{"kwarg": {}}, {"args": [1], "order": 5}, {"_other": 1}])
def test_data_that_an_invoked_task_would_not_get_is_refused(data: dict[str, object]) -> None:
    event = {"name": "inngest/function.invoked", "data": {**data, "_inngest": {}}}
    with pytest.raises(Invalid) as refused:
        signature(_of(CeleryTask("t")), [event], invoked=True, now=NOW)
    assert refused.value.field == f"data.{max(data)}"
    assert "write arguments into data.args, a list, or data.kwargs" in refused.value.message


def test_whole_numbers_of_an_event_are_integers() -> None:
    """In expressions all numbers of an event are doubles; a task may need `range(count)`."""
    data = {"n": 5, "rate": 0.5, "rows": [1, 2.5], "big": 2**60}
    task = CeleryTask("t", args="[event.data.n, event.data.rate, event.data.rows, event.data.big]")
    made = signature(_of(task), [{"name": "a", "data": data}], invoked=False, now=NOW)
    assert isinstance(made, dict)
    assert repr(made["args"]) == f"[5, 0.5, [1, 2.5], {2**60}]"


@pytest.mark.parametrize(
    ("text", "args"),
    [
        ("[event.data.id, event.data['id']]", [2**53 + 1, 2**53 + 1]),
        ("[event.data.all[0]] + event.data.all", [2**64 - 1, 2**64 - 1, 1 - 2**63]),
        ("event.data.all.map(one, one)", [2**64 - 1, 1 - 2**63]),
        ("[{'row': event.data.rows.filter(r, r.id == 9007199254740993)}]", [{"row": [{"id": ID}]}]),
        ("[event.data.id + 1]", [2**53 + 2]),
        ("['id-' + string(event.data.id)]", ["id-9007199254740993"]),
        ("[event.data.n + 1.0, event.data.n * 2.0]", [6, 10]),
    ],
)
def test_integers_that_no_double_holds_are_exact(text: str, args: list[object]) -> None:
    rows = [{"id": ID - 1}, {"id": ID}]
    data = {"id": ID, "all": [2**64 - 1, 1 - 2**63], "rows": rows, "n": 5}
    made = signature(
        _of(CeleryTask("t", args=text)), [{"name": "a", "data": data}], invoked=False, now=NOW
    )
    assert isinstance(made, dict)
    assert made["args"] == args
    assert [type(one) for one in made["args"]] == [type(one) for one in args]


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("[event.data.n + 1]", "double + int: numbers of events and results are doubles, so write"),
        ("[event.data.text + 1]", "string + int: write string(…) to join texts, double(…) to add"),
        ("[1 + event.data.text]", "int + string: write string(…)"),
        ("event.data.texts.map(t, t + 1.0)", "string + double: write string(…)"),
    ],
)
def test_number_that_would_become_text_is_refused_with_the_expression(text: str, fix: str) -> None:
    data = {"n": 5, "text": "5", "texts": ["5"]}
    task = CeleryTask("t", args=text)
    with pytest.raises(Invalid) as refused:
        signature(_of(task), [{"name": "a", "data": data}], invoked=False, now=NOW)
    assert fix in refused.value.message
    assert text in refused.value.message
