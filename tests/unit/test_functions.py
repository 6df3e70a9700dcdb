"""Functions' configurations are checked, and stored without loss."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from inngest_py.domain import functions
from inngest_py.domain.config_fields import Fields
from inngest_py.domain.errors import Invalid
from inngest_py.domain.functions import (
    Batch,
    Cancel,
    Checkpoint,
    Concurrency,
    CronTrigger,
    Debounce,
    EventTrigger,
    RateLimit,
    Singleton,
    Throttle,
    Timeouts,
)

URL = "http://localhost:3000/api/inngest?fnId=shop-charge&stepId=step"
STEP = {"id": "step", "name": "step", "runtime": {"type": "http", "url": URL}}
MINUTE = timedelta(minutes=1)
P = "functions[0]"


def config(**given):
    return {"id": "shop-charge", "name": "Charge", "steps": {"step": STEP}} | given


def parse(**given):
    return functions.parse_config(Fields(config(**given), P))


def refused(**given):
    with pytest.raises(Invalid) as caught:
        parse(**given)
    error = caught.value
    assert error.message.startswith(f"{error.field} ")
    return error.field.removeprefix(f"{P}."), error.code


def stepped(**runtime):
    return {"step": STEP | {"runtime": STEP["runtime"] | runtime}}


def test_the_least_function():
    made = parse()
    assert made == functions.FunctionConfig("shop-charge", "Charge", URL)
    assert (made.retries, made.runtime_type, made.triggers) == (4, "http", ())


ABSENT = [
    "triggers", "retries", "concurrency", "throttle", "rateLimit", "idempotency", "debounce",
    "batchEvents", "priority", "cancel", "timeouts", "singleton", "checkpoint", "checkpointing",
]  # fmt: skip


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
     {"checkpoint": Checkpoint("3", None, "1m")}),
    ({"checkpointing": {"batch_interval": "1s"}}, {"checkpoint": Checkpoint(None, "1s")}),
    ({"checkpointing": True}, {}),
    ({"concurrency": {"fn": [{"limit": 1}], "step": [{"limit": 2}]}},
     {"concurrency": (Concurrency(2),), "run_concurrency": Concurrency(1)}),
    ({"triggers": [{"event": "a", "expression": KEY}, {"cron": "* * * * *", "jitter": "1s"}]},
     {"triggers": (EventTrigger("a", KEY), CronTrigger("* * * * *", timedelta(seconds=1)))}),
    ({"unknown": {"a": [1]}}, {}),
]  # fmt: skip


def other_case(value):
    """Write all keys of a configuration as Go's SDK writes some, but for the names of steps."""
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
    assert functions.parse_config(Fields(shouted)) == as_written


def test_the_last_of_several_spellings_counts_but_for_null():
    assert parse(singleton={"mode": "skip"}, Singleton={"mode": "cancel"}).singleton == (
        Singleton("cancel")
    )
    assert parse(Singleton={"mode": "skip"}, singleton=None).singleton == (Singleton("skip"))


@pytest.mark.parametrize("name", ["step-1", "step", "", "Step", "ünicode"])
def test_the_one_step_may_have_any_name(name):
    assert parse(steps={name: STEP}) == parse()


@pytest.mark.parametrize(("given", "made"), ACCEPTED)
def test_what_is_accepted_and_stored(given, made):
    found = parse(**given)
    assert found == replace(parse(), **made)
    text = found.to_json()
    assert functions.config_from_json(text) == found
    assert functions.config_from_json(text.encode()) == found
    assert functions.config_from_json(text).to_json() == text


def test_what_is_stored_is_canonical_and_sparse():
    assert parse(throttle={"limit": 1, "period": "1500ms"}).to_json() == (
        '{"name":"Charge","retries":4,"runtime_type":"http","slug":"shop-charge",'
        '"throttle":{"burst":0,"limit":1,"period":"1500000us"},'
        f'"url":"{URL}"}}'
    )


def test_what_a_later_version_stored_is_ignored():
    stored = json.loads(parse().to_json()) | {"later": {"a": 1}}
    assert functions.config_from_json(json.dumps(stored)) == parse()


BATCH = {"maxSize": 2, "timeout": "1s"}
BAD = "event.data.("
REFUSED = [
    ({"name": None}, "name", "config_invalid"),
    ({"name": ""}, "name", "config_invalid"),
    ({"name": 5}, "name", "config_invalid"),
    ({"name": "x" * 256}, "name", "config_invalid"),
    ({"name": "a\0"}, "name", "config_invalid"),
    ({"name": "!!", "id": None}, "id", "config_invalid"),
    ({"id": ["a"]}, "id", "config_invalid"),
    ({"id": "x" * 256}, "id", "config_invalid"),
    ({"steps": None}, "steps", "config_invalid"),
    ({"steps": {}}, "steps", "config_invalid"),
    ({"steps": {"other": {}}}, "steps.other.runtime", "config_invalid"),
    ({"steps": {"step": STEP, "two": STEP}}, "steps", "config_invalid"),
    ({"steps": [STEP]}, "steps", "config_invalid"),
    ({"steps": {"step": "x"}}, "steps.step", "config_invalid"),
    ({"steps": {"step": None}}, "steps.step.runtime", "config_invalid"),
    ({"steps": {"step": {}}}, "steps.step.runtime", "config_invalid"),
    ({"steps": stepped(url=None)}, "steps.step.runtime.url", "config_invalid"),
    ({"steps": stepped(url="ftp://x")}, "steps.step.runtime.url", "config_invalid"),
    ({"steps": stepped(type="grpc")}, "steps.step.runtime.type", "config_invalid"),
    ({"retries": {"attempts": -1}}, "retries.attempts", "config_invalid"),
    ({"retries": {"attempts": 1.5}}, "retries.attempts", "config_invalid"),
    ({"retries": {"attempts": "3"}}, "retries.attempts", "config_invalid"),
    ({"retries": True}, "retries", "config_invalid"),
    ({"retries": "3"}, "retries", "config_invalid"),
    ({"triggers": {}}, "triggers", "config_invalid"),
    ({"triggers": ["a"]}, "triggers[0]", "config_invalid"),
    ({"triggers": [{"event": f"e{n}"} for n in range(11)]}, "triggers", "config_invalid"),
    ({"triggers": [{}]}, "triggers[0]", "config_invalid"),
    ({"triggers": [{"event": "a", "cron": "* * * * *"}]}, "triggers[0]", "config_invalid"),
    ({"triggers": [{"event": ""}]}, "triggers[0].event", "event_name_invalid"),
    ({"triggers": [{"event": 5}]}, "triggers[0].event", "event_name_invalid"),
    ({"triggers": [{"event": "x" * 256}]}, "triggers[0].event", "event_name_invalid"),
    ({"triggers": [{"event": "a\0"}]}, "triggers[0].event", "event_name_invalid"),
    ({"triggers": [{"event": "a", "expression": BAD}]}, "triggers[0].expression",
     "config_invalid"),
    ({"triggers": [{"event": "a", "expression": {}}]}, "triggers[0].expression",
     "config_invalid"),
    ({"triggers": [{"event": "a"}, {"event": "b"}, {"event": "a", "expression": ""}]},
     "triggers[2]", "config_invalid"),
    ({"triggers": [{"cron": "* * * * *"}, {"cron": "* * * * *", "jitter": "1s"}]},
     "triggers[1]", "config_invalid"),
    ({"triggers": [{"cron": ""}]}, "triggers[0].cron", "schedule_invalid"),
    ({"triggers": [{"cron": 5}]}, "triggers[0].cron", "schedule_invalid"),
    ({"triggers": [{"cron": "@daily"}]}, "triggers[0].cron", "schedule_invalid"),
    ({"triggers": [{"cron": "0 * * * * *"}]}, "triggers[0].cron", "schedule_invalid"),
    ({"triggers": [{"cron": "* " * 200}]}, "triggers[0].cron", "schedule_invalid"),
    ({"triggers": [{"cron": "* * * * *", "jitter": "6m"}]}, "triggers[0].jitter",
     "config_invalid"),
    ({"triggers": [{"cron": "* * * * *", "jitter": "1ms"}]}, "triggers[0].jitter",
     "config_invalid"),
    ({"concurrency": -1}, "concurrency", "concurrency_limit_invalid"),
    ({"concurrency": 1.5}, "concurrency", "concurrency_limit_invalid"),
    ({"concurrency": float("inf")}, "concurrency", "concurrency_limit_invalid"),
    ({"concurrency": float("nan")}, "concurrency", "concurrency_limit_invalid"),
    ({"concurrency": 10**400}, "concurrency", "concurrency_limit_invalid"),
    ({"concurrency": [5]}, "concurrency[0]", "concurrency_limit_invalid"),
    ({"concurrency": [{"limit": n} for n in (1, 2, 3)]}, "concurrency",
     "concurrency_limit_invalid"),
    ({"concurrency": {"limit": "5"}}, "concurrency.limit", "concurrency_limit_invalid"),
    ({"concurrency": {"limit": 5, "scope": "env"}}, "concurrency.key",
     "concurrency_limit_invalid"),
    ({"concurrency": {"limit": 5, "scope": "app"}}, "concurrency.scope",
     "concurrency_limit_invalid"),
    ({"concurrency": {"limit": 5, "key": BAD}}, "concurrency.key", "config_invalid"),
    ({"concurrency": {"fn": [{"limit": 0}]}}, "concurrency.fn[0].limit",
     "concurrency_limit_invalid"),
    ({"concurrency": {"fn": [{"limit": 1, "scope": "env", "key": "'a'"}]}},
     "concurrency.fn[0].scope", "concurrency_limit_invalid"),
    ({"concurrency": {"fn": [{"limit": 1}, {"limit": 2}]}}, "concurrency.fn",
     "concurrency_limit_invalid"),
    ({"concurrency": {"step": 5}}, "concurrency.step", "concurrency_limit_invalid"),
    ({"throttle": 5}, "throttle", "config_invalid"),
    ({"throttle": {"limit": 1}}, "throttle.period", "config_invalid"),
    ({"throttle": {"limit": 1, "period": "0s"}}, "throttle.period", "config_invalid"),
    ({"throttle": {"limit": 1, "period": 60}}, "throttle.period", "config_invalid"),
    ({"throttle": {"limit": 1, "period": "1 m"}}, "throttle.period", "config_invalid"),
    ({"throttle": {"limit": 1, "period": "1m", "burst": -1}}, "throttle.burst", "config_invalid"),
    ({"throttle": {"limit": 1, "period": "1m", "key": BAD}}, "throttle.key", "config_invalid"),
    ({"rateLimit": {"limit": 0, "period": "1m"}}, "rateLimit.limit", "config_invalid"),
    ({"rateLimit": {"limit": 1, "period": "25h"}}, "rateLimit.period", "config_invalid"),
    ({"rateLimit": {"limit": 1, "period": "-1h"}}, "rateLimit.period", "config_invalid"),
    ({"idempotency": BAD}, "idempotency", "config_invalid"),
    ({"idempotency": "x" * 8193}, "idempotency", "config_invalid"),
    ({"debounce": {}}, "debounce.period", "config_invalid"),
    ({"debounce": {"period": "999ms"}}, "debounce.period", "config_invalid"),
    ({"debounce": {"period": "169h"}}, "debounce.period", "config_invalid"),
    ({"debounce": {"period": "1m", "timeout": "-1s"}}, "debounce.timeout", "config_invalid"),
    ({"batchEvents": {"maxSize": 1, "timeout": "1s"}}, "batchEvents.maxSize",
     "batch_size_invalid"),
    ({"batchEvents": {"timeout": "1s"}}, "batchEvents.maxSize", "batch_size_invalid"),
    ({"batchEvents": {"maxSize": "2", "timeout": "1s"}}, "batchEvents.maxSize",
     "batch_size_invalid"),
    ({"batchEvents": {"maxSize": 2}}, "batchEvents.timeout", "batch_timeout_invalid"),
    ({"batchEvents": {"maxSize": 2, "timeout": "x"}}, "batchEvents.timeout",
     "batch_timeout_invalid"),
    ({"batchEvents": {"maxSize": 2, "timeout": "999ms"}}, "batchEvents.timeout",
     "batch_timeout_invalid"),
    ({"batchEvents": BATCH | {"key": BAD}}, "batchEvents.key", "batch_key_expression_invalid"),
    ({"batchEvents": BATCH | {"if": BAD}}, "batchEvents.if", "batch_if_expression_invalid"),
    ({"batchEvents": BATCH, "cancel": [{"event": "a"}]}, "cancel", "combo_unsupported"),
    ({"batchEvents": BATCH, "debounce": {"period": "1m"}}, "debounce", "combo_unsupported"),
    ({"batchEvents": BATCH, "singleton": {"mode": "skip"}}, "singleton", "combo_unsupported"),
    ({"batchEvents": BATCH, "priority": {"run": "1"}}, "priority", "combo_unsupported"),
    ({"priority": {"run": BAD}}, "priority.run", "config_invalid"),
    ({"priority": 5}, "priority", "config_invalid"),
    ({"cancel": {}}, "cancel", "config_invalid"),
    ({"cancel": [{"event": f"e{n}"} for n in range(6)]}, "cancel", "config_invalid"),
    ({"cancel": [{}]}, "cancel[0].event", "event_name_invalid"),
    ({"cancel": [{"event": "a", "if": BAD}]}, "cancel[0].if", "config_invalid"),
    ({"cancel": [{"event": "a", "if": "size(async.data.a) == 1"}]}, "cancel[0].if",
     "config_invalid"),
    ({"cancel": [{"event": "a", "timeout": "soon"}]}, "cancel[0].timeout", "config_invalid"),
    ({"timeouts": {"start": "x"}}, "timeouts.start", "config_invalid"),
    ({"timeouts": {"finish": "-1s"}}, "timeouts.finish", "config_invalid"),
    ({"singleton": {}}, "singleton.mode", "config_invalid"),
    ({"singleton": {"mode": "queue"}}, "singleton.mode", "config_invalid"),
    ({"singleton": {"mode": "skip", "key": BAD}}, "singleton.key", "config_invalid"),
    ({"checkpoint": "x"}, "checkpoint", "config_invalid"),
    ({"checkpoint": {"batch_steps": {}}}, "checkpoint.batch_steps", "config_invalid"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "field", "code"), REFUSED)
def test_what_is_refused_by_field_and_code(given, field, code):
    assert refused(**given) == (field, code)


@pytest.mark.parametrize("key", sorted({*ABSENT} - {"concurrency", "checkpointing"}))
def test_a_wrong_type_is_refused(key):
    assert refused(**{key: True if key != "checkpoint" else "x"})[0] == key


@pytest.mark.parametrize(
    "other",
    [
        {"concurrency": 1},
        {"throttle": {"limit": 1, "period": "1m"}},
        {"rateLimit": {"limit": 1, "period": "1m"}},
        {"idempotency": "event.data.id"},
        {"timeouts": {"start": "1m"}},
        {"retries": {"attempts": 0}},
        {"priority": {}},
        {"cancel": []},
    ],
)
def test_what_a_batch_may_be_combined_with(other):
    assert parse(batchEvents=BATCH, **other).batch is not None
