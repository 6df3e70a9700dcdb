"""Messages of Celery tasks: what is written without Celery and kombu is what these would write."""

import json
from decimal import Decimal

import pytest
from celery.utils.saferepr import saferepr
from kombu.exceptions import EncodeError
from kombu.utils import json as kombus

from inngest_py.tasks.celery_apps.task_messages import json_of, shown

ARGUMENTS = (
    [],
    {},
    [1, -2.5, True, None, "plain", ""],
    ["it's"],
    ["a\\b\n", 'a "quote"', "ü✓"],
    ["x" * 40],
    ["x" * 41, "a b " * 300],
    list(range(16)),
    list(range(2000)),
    [2**63, 1e300, 0.1],
    [[1], {"a": [2]}],
    {"a": 1, "b": "it's"},
)


@pytest.mark.parametrize("given", ARGUMENTS)
def test_arguments_are_shown_as_celery_shows_them(given: list[object]) -> None:
    assert shown(given, 1024) == saferepr(given, 1024)


@pytest.mark.parametrize("given", [*ARGUMENTS, ["half of a pair: \ud83d"], [2**70]])
def test_json_says_what_that_of_kombu_says(given: object) -> None:
    assert json.loads(json_of(given)) == json.loads(kombus.dumps(given))


def test_what_only_kombu_can_write_is_written_by_kombu() -> None:
    assert json_of([Decimal("1.10")]) == kombus.dumps([Decimal("1.10")])
    with pytest.raises(EncodeError):
        json_of([object()])
