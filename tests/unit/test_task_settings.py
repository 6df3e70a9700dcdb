"""Settings of tasks: all rules are read, and an error names the field and the fix."""

from datetime import timedelta
from typing import Any

import pytest

from inngest_py.api.native.task_schemas import SETTINGS
from inngest_py.domain.errors import Invalid
from inngest_py.domain.functions import exact_shapes, task_settings
from inngest_py.domain.functions.celery_task import CeleryTask
from inngest_py.domain.functions.function_config import FunctionConfig, config_from_json
from inngest_py.domain.functions.function_limits import (
    Batch,
    Concurrency,
    Debounce,
    RateLimit,
    Singleton,
    Throttle,
    Timeouts,
)
from inngest_py.domain.functions.triggers import Cancel, CronTrigger, EventTrigger

BASE = FunctionConfig("shop-t", "t", "celery://shop", retries=0, celery=CeleryTask("t"))
MINUTE = timedelta(minutes=1)


def applied(**settings: Any) -> FunctionConfig:
    return task_settings.applied(BASE, task_settings.canonical_names(settings))


def test_every_rule_is_read() -> None:
    made = applied(
        on=[{"event": "a/x", "if": "event.data.n > 1"}, {"cron": "0 6 * * *", "args": "[1]"}],
        args="[event.data.n]",
        kwargs='{"b": event.data.b}',
        retries=3,
        backoff={"initial": "5s"},
        timeout="30m",
        on_lost="fail",
        queue="slow",
        concurrency=[{"limit": 2, "key": "event.data.n"}],
        throttle={"limit": 5, "period": "1m", "burst": 2},
        rateLimit={"limit": 5, "period": "1m"},
        debounce={"period": "1m"},
        priority={"run": "event.data.n"},
        singleton={"mode": "skip"},
        timeouts={"start": "1m", "finish": "1m"},
        cancelOn=[{"event": "a/stop", "if": "event.data.n == async.data.n"}],
    )
    assert made.triggers == (
        EventTrigger("a/x", "event.data.n > 1"),
        CronTrigger("0 6 * * *", args="[1]"),
    )
    assert made.celery == CeleryTask(
        "t", "[event.data.n]", '{"b": event.data.b}', "slow", timedelta(minutes=30), "fail"
    )
    assert made.backoff is not None
    assert made.concurrency == (Concurrency(2, key="event.data.n"),)
    assert made.throttle == Throttle(5, MINUTE, 2)
    assert made.rate_limit == RateLimit(5, MINUTE)
    assert made.debounce == Debounce(MINUTE)
    assert made.priority == "event.data.n"
    assert made.singleton == Singleton("skip")
    assert made.timeouts == Timeouts(MINUTE, MINUTE)
    assert made.cancel == (Cancel("a/stop", "event.data.n == async.data.n"),)
    assert made.retries == 3
    assert config_from_json(made.to_json()) == made


def test_batches_get_their_arguments_from_all_events() -> None:
    made = applied(batchEvents={"maxSize": 5, "timeout": "1s"}, args="[events.map(e, e.data.n)]")
    assert made.batch == Batch(5, timedelta(seconds=1))


def test_one_trigger_needs_no_list() -> None:
    assert applied(on={"event": "a/x"}).triggers == (EventTrigger("a/x"),)


def test_null_and_nothing_are_the_default() -> None:
    assert applied(**dict.fromkeys(task_settings.NAMES)) == BASE == applied()


def test_the_schema_shows_every_setting() -> None:
    assert set(SETTINGS) == set(task_settings.NAMES)
    for rule, keys in exact_shapes.PARTS.items():
        assert set(SETTINGS[rule].schema.fields) == set(keys), rule  # type: ignore[attr-defined]


BATCH = {"batchEvents": {"maxSize": 5, "timeout": "1s"}}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rate_limit": {}}, "rate_limit is not known here: did you mean rateLimit?"),
        ({"onLost": "fail"}, "onLost is not known here: did you mean on_lost?"),
        ({"cancel": []}, "cancel is not known here: did you mean cancelOn?"),
        ({"triggers": []}, "triggers is not known here: did you mean on?"),
        ({"retries": 21}, "retries must be a number from 0 to 20"),
        ({"retries": "3"}, "retries must be an integer, not a string"),
        ({"timeout": 90}, "timeout must be a text with a unit: write 30s, 5m, 2h or 7d"),
        ({"timeout": "0s"}, "timeout must be a duration above zero, such as 30m"),
        ({"timeout": "-1s"}, "timeout must be a duration above zero, such as 30m"),
        ({"timeout": "400d"}, "timeout must be at most"),
        ({"on_lost": "ignore"}, "on_lost must be retry or fail"),
        ({"queue": "a\nb"}, "queue must be the name of a queue, of up to 255 bytes, such as cel"),
        ({"queue": "é" * 128}, "queue must be the name of a queue, of up to 255 bytes, such as c"),
        ({"on": "a/x"}, "on must be an array, not a string"),
        ({"on": [{"events": "a"}]}, "on[0] must hold either event or cron"),
        ({"on": [{"event": "a", "expression": "true"}]}, "on[0].expression is not known here"),
        ({"on": [{"cron": "nonsense"}]}, "on[0].cron is not a schedule"),
        ({"on": [{"event": "a", "args": "["}]}, "on[0].args is not a valid expression"),
        ({"args": ["event.data.n"]}, "args must be an expression in quotes, such as '[event."),
        ({"kwargs": {"n": "event.data.n"}}, "kwargs must be an expression in quotes, such as '{"),
        ({"args": "5"}, "args must be an expression of a list, such as '[event.data.order]', not"),
        (
            {"args": '{"a": 1}'},
            "args must be an expression of a list, such as '[event.data.order]', not an object",
        ),
        ({"kwargs": "[1]"}, "kwargs must be an expression of an object, such as '{"),
        (
            {"on": [{"event": "a", "args": '{"a": 1}'}]},
            "on[0].args must be an expression of a list",
        ),
        ({"args": "[events[0]]"}, "args must be over event: events, the list of a batch, needs"),
        ({"args": "[nothing.data]"}, "args is not a valid expression: 'nothing' is not declared"),
        ({**BATCH, "args": "[event.data]"}, "args must be over events, the list of a batch: write"),
        ({**BATCH, "on": [{"event": "a", "args": "[events]"}]}, "on[0].args cannot be combined"),
        ({**BATCH, "cancelOn": [{"event": "a"}]}, "cancelOn cannot be combined with batchEvents"),
        ({"batchEvents": {"max_size": 5}}, "batchEvents.max_size is not known here: only maxSize"),
        ({"throttle": {"limit": 5}}, "throttle.period must be a duration above zero"),
        ({"throttle": {"period": "1m"}}, "throttle.limit is missing"),
        ({"throttle": {"limit": 5, "period": 60}}, "throttle.period must be a text with a unit"),
        ({"concurrency": {"limit": 0}}, "concurrency.limit must be above 0"),
        ({"concurrency": True}, "concurrency must be a number, an array or an object"),
        ({"singleton": {"mode": "wait"}}, "singleton.mode must be skip or cancel"),
        ({"priority": "event.data.n"}, "priority must be an object, not a string"),
        ({"cancelOn": [{"event": "a", "match": "data.n"}]}, "cancelOn[0].match is not known here"),
        ({"idempotency": "event.id", "rateLimit": {"limit": 1, "period": "1m"}}, "idempotency"),
    ],
)
def test_bad_setting_is_named_with_the_fix(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(Invalid) as refused:
        applied(**settings)
    assert refused.value.message.startswith(message)


def test_the_config_file_leads_and_both_layers_stay() -> None:
    own = {"retries": 1, "queue": "slow", "timeout": None}
    made = task_settings.layered(BASE, own, {"retries": 2})
    assert (made.retries, made.celery.queue if made.celery else None) == (2, "slow")
    assert task_settings.layers(made) == ({"retries": 1, "queue": "slow"}, {"retries": 2})
    assert task_settings.shown(made) == {
        "retries": {"value": 2, "from": "file"},
        "queue": {"value": "slow", "from": "api"},
    }
    own, declared = task_settings.layers(made)
    assert task_settings.layered(made, own, {}).retries == 1
    assert declared == {"retries": 2}
