"""Messages of Celery tasks: what is written without Celery and kombu is what these would write."""

import json
from decimal import Decimal

import pytest
from celery import Celery
from celery.utils.saferepr import saferepr
from kombu.entity import Queue
from kombu.exceptions import EncodeError
from kombu.utils import json as kombus

from inngest_py.engine.runtime.celery_apps import CeleryApp, TaskMessage
from inngest_py.tasks.celery_apps.task_messages import Writer, json_of, shown

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


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"task_create_missing_queues": False, "task_queues": [Queue("own")]},
        {"task_routes": {"*": {"queue": "other"}}},
        {"task_default_exchange": "own", "task_default_exchange_type": "topic"},
        {"task_protocol": 1},
    ],
    ids=["plain", "no new queues", "routes", "an exchange of its own", "first protocol"],
)
def test_answers_go_straight_into_our_queue(settings: dict[str, object]) -> None:
    """Whatever the app's settings are, which decide where its own tasks go."""
    app = Celery("shop", broker="memory://", set_as_current=False)
    app.conf.update(task_default_queue="own", **settings)
    sent = TaskMessage("id", "shop.add", [1, 2], {}, {}, token="mine", root_id="run")
    with app.connection_for_write() as connection:
        channel = connection.channel()
        Queue("answers")(channel).declare()
        ours = Celery("inngest_py.shop", broker="memory://", set_as_current=False)
        writer = Writer(CeleryApp("", "shop", "memory://", "{}", "own", ""), ours, "answers")
        [callback] = json.loads(writer.write(sent).body)[2]["callbacks"]
        app.signature(callback).apply_async((3,))
        answer = channel.basic_get("answers", no_ack=True)
        assert answer is not None
        assert channel.basic_get("own", no_ack=True) is None
    body = answer.decode()
    args, kwargs = (body["args"], body["kwargs"]) if isinstance(body, dict) else body[:2]
    assert (list(args), kwargs) == ([3], {"token": "mine"})
