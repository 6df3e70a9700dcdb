"""Functions' configurations are checked, and stored without loss."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from inngest_py.domain.functions import function_config
from inngest_py.domain.functions.config_fields import Fields
from inngest_py.domain.functions.function_config import (
    Batch,
    Cancel,
    CheckpointSettings,
    Concurrency,
    CronTrigger,
    Debounce,
    EventTrigger,
    RateLimit,
    Singleton,
    Throttle,
    Timeouts,
)
from tests.configs import ABSENT, STEP, URL, config, parse

MINUTE = timedelta(minutes=1)


def test_the_smallest_function():
    made = parse()
    assert made == function_config.FunctionConfig("shop-charge", "Charge", URL)
    assert (made.retries, made.runtime_type, made.triggers) == (4, "http", ())


@pytest.mark.parametrize("key", ABSENT)
@pytest.mark.parametrize("value", [None, []])
def test_null_and_an_empty_array_are_absent(key, value):
    assert parse(**{key: value}) == parse()


@pytest.mark.parametrize(
    ("given", "slug"),
    [
        ({"id": "a/b"}, "a/b"),
        ({"id": ""}, "charge"),
        ({"id": None}, "charge"),
        ({"id": None, "name": "Déjà  vu! 2"}, "deja-vu-2"),
    ],
)
def test_the_slug(given, slug):
    assert parse(**given).slug == slug


@pytest.mark.parametrize(
    ("url", "normal", "kind"),
    [
        (URL, URL, "http"),
        ("http://127.0.0.1:3000/x?stepId=step&fnId=a&probe=1",
         "http://localhost:3000/x?fnId=a&stepId=step", "http"),
        ("wss://example.com:443/x", "wss://example.com/x", "ws"),
    ],
)  # fmt: skip
def test_the_step_url(url, normal, kind):
    made = parse(steps={"step": {"runtime": {"url": url}}})
    assert (made.url, made.runtime_type) == (normal, kind)


@pytest.mark.parametrize(
    ("step", "function", "retries"),
    [
        (None, None, 4),
        ({"attempts": 0}, {"attempts": 3}, 0),
        ({"attempts": 3.0}, None, 3),
        ({"attempts": 21}, None, 20),
        ({"attempts": 20}, None, 20),
        ({"attempts": None}, {"attempts": 2}, 2),
        (None, {"attempts": 2}, 2),
        (None, 7, 7),
        ({}, {}, 4),
    ],
)
def test_retries(step, function, retries):
    assert parse(steps={"step": STEP | {"retries": step}}, retries=function).retries == retries


def test_triggers():
    given = [
        {"event": "shop/order.created", "expression": "event.data.total > 100"},
        {"event": "shop/order.created", "expression": ""},
        {"event": "shop/*"},
        {"cron": "TZ=Europe/Paris 0 9 * * 1-5", "jitter": "30s"},
        {"cron": "* * * * *", "jitter": "0s", "event": None},
    ]
    assert parse(triggers=given).triggers == (
        EventTrigger("shop/order.created", "event.data.total > 100"),
        EventTrigger("shop/order.created"),
        EventTrigger("shop/*"),
        CronTrigger("TZ=Europe/Paris 0 9 * * 1-5", timedelta(seconds=30)),
        CronTrigger("* * * * *"),
    )


@pytest.mark.parametrize(
    ("given", "steps", "run"),
    [
        (5, [Concurrency(5)], None),
        (5.0, [Concurrency(5)], None),
        (0, [], None),
        ("5", [], None),
        (True, [], None),
        ({}, [], None),
        ({"limit": 5, "key": "event.data.id"}, [Concurrency(5, "fn", "event.data.id")], None),
        ([{"limit": 9}, {"limit": 2, "scope": "ENV", "key": "'a'"}],
         [Concurrency(2, "env", "'a'"), Concurrency(9)], None),
        ([{"limit": 0}, {"limit": 2}], [Concurrency(2)], None),
        ({"step": [{"limit": 3, "hash": "x"}], "fn": [{"limit": 1, "scope": "fn"}]},
         [Concurrency(3)], Concurrency(1)),
        ({"fn": [{"limit": 1, "key": "event.data.id"}], "step": None},
         [], Concurrency(1, "fn", "event.data.id")),
        ({"fn": None}, [], None),
    ],
)  # fmt: skip
def test_concurrency(given, steps, run):
    made = parse(concurrency=given)
    assert made.concurrency == tuple(steps)
    assert made.run_concurrency == run


DAY = timedelta(days=1)
KEY = "event.data.id"
ACCEPTED = [
    ({"throttle": {"limit": 2, "period": "1m", "burst": 3, "key": KEY}},
     {"throttle": Throttle(2, MINUTE, 3, KEY)}),
    ({"throttle": {"limit": 0, "period": "1m"}}, {"throttle": Throttle(1, MINUTE)}),
    ({"rateLimit": {"limit": 2, "period": "24h"}}, {"rate_limit": RateLimit(2, DAY)}),
    ({"idempotency": KEY, "rateLimit": {"limit": 5, "period": "1m"}},
     {"rate_limit": RateLimit(1, DAY, KEY, idempotency=True)}),
    ({"idempotency": ""}, {}),
    ({"debounce": {"period": "1s"}}, {"debounce": Debounce(timedelta(seconds=1))}),
    ({"debounce": {"period": "168h", "key": KEY, "timeout": "2w"}},
     {"debounce": Debounce(7 * DAY, KEY, 14 * DAY)}),
    ({"batchEvents": {"maxSize": 2, "timeout": "1s"}}, {"batch": Batch(2, timedelta(seconds=1))}),
    ({"batchEvents": {"maxSize": 5000, "timeout": "1d", "key": KEY, "if": "event.data.a == 1"}},
     {"batch": Batch(5000, DAY, KEY, "event.data.a == 1")}),
    ({"priority": {"run": "event.data.a == 1 ? 10 : 0"}},
     {"priority": "event.data.a == 1 ? 10 : 0"}),
    ({"priority": {"run": ""}}, {}),
    ({"cancel": [{"event": "a/*"}, {"event": "b", "if": "async.data.id == event.data.id",
                                   "timeout": "1h"},
                 {"event": "c", "timeout": "2030-01-31T12:00:00Z"}]},
     {"cancel": (Cancel("a/*"), Cancel("b", "async.data.id == event.data.id", 60 * MINUTE),
                 Cancel("c", until=datetime(2030, 1, 31, 12, tzinfo=UTC)))}),
    ({"timeouts": {"start": "1m", "finish": "1.5s"}},
     {"timeouts": Timeouts(MINUTE, timedelta(seconds=1.5))}),
    ({"timeouts": {"start": "0s"}}, {}),
    ({"singleton": {"mode": "skip"}}, {"singleton": Singleton("skip")}),
    ({"singleton": {"mode": "cancel", "key": KEY}}, {"singleton": Singleton("cancel", KEY)}),
    ({"checkpoint": {"batch_steps": 3, "max_runtime": "1m"}},
     {"checkpoint": CheckpointSettings("3", None, "1m")}),
    ({"checkpointing": {"batch_interval": "1s"}}, {"checkpoint": CheckpointSettings(None, "1s")}),
    ({"checkpointing": True}, {}),
    ({"concurrency": {"fn": [{"limit": 1}], "step": [{"limit": 2}]}},
     {"concurrency": (Concurrency(2),), "run_concurrency": Concurrency(1)}),
    ({"triggers": [{"event": "a", "expression": KEY}, {"cron": "* * * * *", "jitter": "1s"}]},
     {"triggers": (EventTrigger("a", KEY), CronTrigger("* * * * *", timedelta(seconds=1)))}),
    ({"unknown": {"a": [1]}}, {}),
]  # fmt: skip


def other_case(value):
    """Write all keys of a configuration, except names of steps, as Go's SDK writes some."""
    if isinstance(value, list):
        return [other_case(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key[:1].upper() + key[1:]: other_case(item) for key, item in value.items()}


EVERYTHING = {
    "triggers": [{"event": "a/b", "expression": "event.data.x == 1"}],
    "concurrency": {"fn": [{"limit": 2}], "step": [{"limit": 3, "key": "event.data.k"}]},
    "throttle": {"limit": 2, "period": "1m", "burst": 3, "key": "event.data.k"},
    "rateLimit": {"limit": 2, "period": "1m", "key": "event.data.k"},
    "debounce": {"period": "2s", "key": "event.data.k", "timeout": "1m"},
    "priority": {"run": "event.data.p"},
    "cancel": [{"event": "a/c", "if": "event.data.x == async.data.x", "timeout": "1h"}],
    "timeouts": {"start": "1m", "finish": "2m"},
    "singleton": {"mode": "skip", "key": "event.data.k"},
    "retries": {"attempts": 7},
    "checkpoint": {"batch_steps": 3, "max_runtime": "1m"},
}
BATCHED = {
    "triggers": [{"cron": "*/5 * * * *", "jitter": "2s"}],
    "batchEvents": {"maxSize": 3, "timeout": "5s", "key": "event.data.k", "if": "true"},
    "concurrency": [{"limit": 2, "scope": "env", "key": "'a'"}],
    "idempotency": "event.data.k",
}


@pytest.mark.parametrize("given", [EVERYTHING, BATCHED], ids=["everything", "batched"])
def test_keys_are_read_in_any_case_at_every_level(given):
    as_written = parse(**given)
    assert as_written.singleton or as_written.batch
    shouted = {key.upper(): value for key, value in other_case(config(**given)).items()}
    assert function_config.parse_config(Fields(shouted)) == as_written


def test_the_last_of_several_spellings_counts_except_null():
    assert parse(singleton={"mode": "skip"}, Singleton={"mode": "cancel"}).singleton == (
        Singleton("cancel")
    )
    assert parse(Singleton={"mode": "skip"}, singleton=None).singleton == (Singleton("skip"))


@pytest.mark.parametrize("name", ["step-1", "step", "", "Step", "ünicode"])
def test_the_one_step_may_have_any_name(name):
    assert parse(steps={name: STEP}) == parse()


@pytest.mark.parametrize(("given", "made"), ACCEPTED)
def test_accepted_values_and_how_they_are_stored(given, made):
    found = parse(**given)
    assert found == replace(parse(), **made)
    text = found.to_json()
    assert function_config.config_from_json(text) == found
    assert function_config.config_from_json(text.encode()) == found
    assert function_config.config_from_json(text).to_json() == text


def test_stored_configurations_are_canonical_and_without_empty_fields():
    assert parse(throttle={"limit": 1, "period": "1500ms"}).to_json() == (
        '{"name":"Charge","retries":4,"runtime_type":"http","slug":"shop-charge",'
        '"throttle":{"burst":0,"limit":1,"period":"1500000us"},'
        f'"url":"{URL}"}}'
    )


def test_fields_of_a_later_version_are_ignored():
    stored = json.loads(parse().to_json()) | {"later": {"a": 1}}
    assert function_config.config_from_json(json.dumps(stored)) == parse()
