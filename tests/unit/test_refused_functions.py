"""What a function's configuration must not be is refused by its field, with a code."""

import pytest

from inngest_py.domain.errors import Invalid
from tests.configs import ABSENT, PLACE, STEP, parse


def refused(**given):
    with pytest.raises(Invalid) as caught:
        parse(**given)
    error = caught.value
    assert error.message.startswith(f"{error.field} ")
    return error.field.removeprefix(f"{PLACE}."), error.code


def stepped(**runtime):
    return {"step": STEP | {"runtime": STEP["runtime"] | runtime}}


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
