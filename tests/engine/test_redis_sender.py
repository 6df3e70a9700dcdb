"""Tasks on their way to Redis: the same messages, in the same lists and order, as kombu's own."""

import base64
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
import redis
from celery import Celery

from inngest_py.engine.runtime.celery_apps import CeleryApp, TaskMessage
from inngest_py.tasks.celery_apps.brokers import Brokers, answers_queue
from tests.servers import Valkey

SEP = "\x06\x16"
COUNT = 130


@pytest.fixture
def store(valkey: Valkey) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(valkey.url, decode_responses=True) as made:
        made.flushdb()
        yield made


def app(valkey: Valkey, options: str = "{}") -> CeleryApp:
    return CeleryApp("app-id", "shop", valkey.url, options, "shop", "secret")


def message(number: int = 0, **options: object) -> TaskMessage:
    args: list[object] = [number, "ü", {"a": None}]
    return TaskMessage(f"id-{number}", "shop.add", args, {"b": 1.5}, options, "token", "root")


def sent(store: redis.Redis, name: str) -> list[dict[str, Any]]:
    """Take the messages of a list, in the order in which a worker gets them."""
    raws: Any = store.lrange(name, 0, -1)
    store.delete(name)
    return [json.loads(raw) for raw in reversed(raws)]


def ids(store: redis.Redis, name: str = "shop") -> list[str]:
    return [one["headers"]["id"] for one in sent(store, name)]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("shop", {}),
        (
            "slow",
            {
                "queue": "slow",
                "expires": "2030-01-01T00:00:00+00:00",
                "time_limit": 5,
                "soft_time_limit": 4.5,
                "shadow": "shown",
                "headers": {"own": 1, "id": "not this"},
                "stamped_headers": ["stamp"],
                "stamp": ["x"],
            },
        ),
        (f"shop{SEP}9", {"priority": 9}),
        (f"shop{SEP}3", {"priority": 4}),
    ],
)
def test_messages_are_those_of_kombu(
    store: redis.Redis, valkey: Valkey, name: str, options: dict[str, object]
) -> None:
    found = []
    for patched in (True, False):
        brokers = Brokers(patched=patched)
        brokers.send(app(valkey), [message(**options)])
        [one] = sent(store, name)
        assert len(one["properties"].pop("delivery_tag")) == 36
        one["body"] = json.loads(base64.b64decode(one["body"]))
        found.append(one)
        brokers.close()
    assert found[0] == found[1]


def test_batches_keep_their_order_and_go_where_each_message_goes(
    store: redis.Redis, valkey: Valkey
) -> None:
    brokers = Brokers()
    slow = [message(1000 + number, queue="slow") for number in range(3)]
    brokers.send(app(valkey), [*map(message, range(COUNT)), *slow])
    assert ids(store) == [f"id-{number}" for number in range(COUNT)]
    assert ids(store, "slow") == ["id-1000", "id-1001", "id-1002"]
    brokers.close()


def test_answers_have_a_queue_before_the_first_task_is_sent(
    store: redis.Redis, valkey: Valkey
) -> None:
    brokers = Brokers()
    new = replace(app(valkey), app_id="new")  # kombu remembers in the process what it has bound
    brokers.send(new, [message()])
    assert len(store.keys("_kombu.binding.inngest.answers.new.*")) == 1
    brokers.close()


def test_after_a_lost_connection_each_task_is_sent_once(store: redis.Redis, valkey: Valkey) -> None:
    brokers = Brokers()
    brokers.send(app(valkey), [message()])
    store.client_kill_filter(_type="normal", skipme=True)
    brokers.send(app(valkey), [message(1), message(2)])
    assert ids(store) == ["id-0", "id-1", "id-2"]
    brokers.close()


def test_tasks_go_one_by_one_where_a_batch_might_be_sent_twice(
    store: redis.Redis, valkey: Valkey
) -> None:
    brokers = Brokers()
    brokers.send(app(valkey, '{"retry_on_timeout": true}'), [message(1), message(2), message(3)])
    assert ids(store) == ["id-1", "id-2", "id-3"]
    brokers.close()


def test_a_worker_answers_without_a_question_to_redis(valkey: Valkey, store: redis.Redis) -> None:
    """By an exchange, kombu would read its table for each answer: a round trip more."""
    ours = app(valkey)
    with closing(Brokers()) as brokers:
        brokers.send(ours, [message()])
    [task] = sent(store, "shop")
    [callback] = json.loads(base64.b64decode(task["body"]))[2]["callbacks"]
    theirs = Celery("shop", broker=valkey.url, set_as_current=False)
    theirs.signature(callback).apply_async((1,))  # connects, and declares its own queue
    before = store.info("commandstats")
    for number in range(5):
        theirs.signature(callback).apply_async((number,))
    after = store.info("commandstats")
    grown = {
        name: after[name]["calls"] - before.get(name, {"calls": 0})["calls"]
        for name in after
        if name != "cmdstat_info"
    }
    assert {name: calls for name, calls in grown.items() if calls} == {"cmdstat_lpush": 5}
    answers = sent(store, answers_queue(ours).name)
    assert [json.loads(base64.b64decode(one["body"]))[0] for one in answers][1:] == [
        [number] for number in range(5)
    ]
