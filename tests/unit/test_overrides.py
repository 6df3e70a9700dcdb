"""Overrides replace only the limits that they name, which are written as in registrations."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from inngest_py.domain.errors import Invalid
from inngest_py.domain.functions.config_fields import Fields
from inngest_py.domain.functions.function_config import FunctionConfig, parse_config
from inngest_py.domain.functions.overrides import applied, as_override, from_json, parse, summary

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def config(**given: Any) -> FunctionConfig:
    step = {"runtime": {"type": "http", "url": "http://localhost:1/f"}}
    return parse_config(Fields({"id": "f", "name": "f", "steps": {"step": step}} | given))


def effective(configured: FunctionConfig, **body: Any) -> dict[str, Any]:
    override = parse(body, NOW).override
    assert from_json(override.to_json()) == override
    return as_override(applied(configured, override))


THROTTLE = {"limit": 2, "period": "10s"}
CONFIGURED = config(concurrency=3, throttle=THROTTLE, rateLimit={"limit": 9, "period": "1m"})
ENTRY = {"limit": 3, "scope": "fn"}


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        ({"concurrency": 5}, {"concurrency": {"step": [ENTRY | {"limit": 5}], "fn": []}}),
        ({"concurrency": []}, {"concurrency": None}),
        ({"concurrency": None}, {"concurrency": None}),
        (
            {"concurrency": {"fn": [{"limit": 1, "key": "event.data.k"}]}},
            {
                "concurrency": {
                    "step": [],
                    "fn": [{"limit": 1, "scope": "fn", "key": "event.data.k"}],
                }
            },
        ),
        (
            {"throttle": {"limit": 7, "period": "1m", "burst": 1}},
            {"throttle": {"limit": 7, "period": "60s", "burst": 1}},
        ),
        ({"throttle": None}, {"throttle": None}),
        ({"rateLimit": None, "concurrency": None}, {"rateLimit": None, "concurrency": None}),
        (
            {"backoff": {"initial": "5s", "factor": 1.5, "maximum": "10m", "jitter": 0.25}},
            {"backoff": {"initial": "5s", "factor": 1.5, "maximum": "600s", "jitter": 0.25}},
        ),
    ],
)
def test_only_named_limits_are_replaced(body: dict[str, Any], changed: dict[str, Any]) -> None:
    assert effective(CONFIGURED, **body) == as_override(CONFIGURED) | changed


def test_an_earlier_override_does_not_remove_idempotency() -> None:
    keyed = config(idempotency="event.data.k")
    override = parse({"rateLimit": {"limit": 100, "period": "1m"}, "concurrency": 2}, NOW).override
    effective = applied(keyed, override)
    assert effective.rate_limit == keyed.rate_limit
    assert summary(effective) == "2 steps at a time, idempotent by event.data.k"


def test_shown_limits_can_be_set_again() -> None:
    limits = as_override(CONFIGURED)
    assert effective(config(), **limits) == limits


@pytest.mark.parametrize(
    ("body", "until"),
    [
        ({}, None),
        ({"expiresIn": "90m"}, NOW + timedelta(minutes=90)),
        ({"expiresAt": "2026-01-02T01:00:00+01:00"}, NOW + timedelta(days=1)),
    ],
)
def test_an_override_may_end(body: dict[str, Any], until: datetime | None) -> None:
    assert parse({"concurrency": 1} | body, NOW).until == until


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], "the payload"),
        ({}, "body"),
        ({"expiresIn": "1h"}, "body"),
        ({"limits": 1}, "limits"),
        ({"concurrency": "5"}, "concurrency"),
        ({"concurrency": True}, "concurrency"),
        ({"concurrency": -1}, "concurrency"),
        ({"concurrency": 0}, "concurrency"),
        ({"concurrency": [{"limit": 0}]}, "concurrency[0].limit"),
        ({"throttle": {"limit": 0, "period": "1s"}}, "throttle.limit"),
        ({"concurrency": {}}, "concurrency.limit"),
        ({"concurrency": [{}]}, "concurrency[0].limit"),
        ({"concurrency": {"limit": 1, "scop": "fn"}}, "concurrency.scop"),
        ({"concurrency": {"fn": [], "stepp": []}}, "concurrency.stepp"),
        ({"concurrency": {"fn": [{"limt": 1}]}}, "concurrency.fn[0].limt"),
        ({"throttle": {"limit": 1, "period": "1s", "bust": 1}}, "throttle.bust"),
        ({"throttle": {"period": "1s"}}, "throttle.limit"),
        ({"rateLimit": {"limit": 1, "period": "1m", "burst": 2}}, "rateLimit.burst"),
        ({"concurrency": [{"limit": 1, "scope": "env"}]}, "concurrency[0].key"),
        ({"concurrency": [{"limit": 1}] * 3}, "concurrency"),
        ({"throttle": 5}, "throttle"),
        ({"throttle": {"limit": 1}}, "throttle.period"),
        ({"rateLimit": {"limit": 0, "period": "1m"}}, "rateLimit.limit"),
        ({"rateLimit": {"limit": 1, "period": "2d"}}, "rateLimit.period"),
        ({"rateLimit": {"limit": 1, "period": "1m", "key": "event."}}, "rateLimit.key"),
        ({"backoff": {"initial": "no"}}, "backoff.initial"),
        ({"concurrency": 1, "by": 7}, "by"),
        ({"concurrency": 1, "expiresIn": "soon"}, "expiresIn"),
        ({"concurrency": 1, "expiresIn": "-1m"}, "expiresIn"),
        ({"concurrency": 1, "expiresIn": "367d"}, "expiresIn"),
        ({"concurrency": 1, "expiresAt": "soon"}, "expiresAt"),
        ({"concurrency": 1, "expiresAt": "2025-12-31T00:00:00Z"}, "expiresAt"),
        ({"concurrency": 1, "expiresAt": "9999-12-31T00:00:00Z"}, "expiresAt"),
        ({"concurrency": 1, "expiresIn": "1h", "expiresAt": "2026-01-02T00:00:00Z"}, "expiresAt"),
    ],
)
def test_a_bad_body_is_refused_by_its_field(body: Any, field: str) -> None:
    with pytest.raises(Invalid) as raised:
        parse(body, NOW)
    assert raised.value.field == field
    assert field in raised.value.message


def test_limits_are_described_for_lists() -> None:
    assert summary(CONFIGURED) == "3 steps at a time, throttle 2/10s, rate limit 9/60s"
    assert summary(config(concurrency={"fn": [{"limit": 1, "key": "event.data.k"}]})) == (
        "1 run at a time by event.data.k"
    )
    assert summary(config()) == ""
    later = config(debounce={"period": "5s", "key": "event.data.k"}, singleton={"mode": "skip"})
    assert summary(later) == "debounce 5s by event.data.k, singleton skip"
    assert summary(config(priority={"run": "event.data.p"})) == "priority event.data.p"
    gathered = config(batchEvents={"maxSize": 9, "timeout": "10s"})
    assert summary(gathered) == "batch 9/10s"
