"""The backoff follows the protocol's table."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inngest_py.domain.errors import Invalid
from inngest_py.domain.functions.config_fields import Fields
from inngest_py.domain.functions.function_config import config_from_json, parse_config
from inngest_py.domain.functions.registration import parse_function
from inngest_py.domain.functions.retries import Backoff, backoff, parse_backoff

VECTORS = json.loads(
    (Path(__file__).parent.parent / "vectors" / "vectors-backoff.json").read_text()
)


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: str(case["failed_attempt"]))
def test_backoff_follows_the_vectors(case):
    assert backoff(case["failed_attempt"], 0.0) == timedelta(seconds=case["min_seconds"])
    latest = backoff(case["failed_attempt"], 0.9999999)
    assert latest < timedelta(seconds=case["max_seconds_exclusive"])
    assert latest == timedelta(seconds=case["max_seconds_exclusive"], milliseconds=-1)


@given(st.integers(0, 1000), st.floats(0, 1, exclude_max=True))
def test_backoff_is_whole_milliseconds_within_bounds(attempt, jitter):
    delay = backoff(attempt, jitter)
    assert timedelta(seconds=15) <= delay < timedelta(seconds=7230)
    assert delay.microseconds % 1000 == 0


def test_a_linear_interval_is_the_same_each_time():
    assert {backoff(attempt, 0.5, timedelta(seconds=3)) for attempt in range(12)} == {
        timedelta(seconds=3)
    }


rules = st.builds(
    Backoff,
    initial=st.timedeltas(timedelta(milliseconds=1), timedelta(days=1)),
    factor=st.floats(1, 100),
    maximum=st.timedeltas(timedelta(days=1), timedelta(days=7)),
    jitter=st.floats(0, 1),
)
draws = st.floats(0, 1, exclude_max=True)


@given(rules, st.integers(0, 1000), draws)
def test_an_own_rule_stays_within_its_bounds(rule, attempt, draw):
    delay = rule.delay(attempt, draw)
    assert timedelta(0) <= delay <= rule.maximum
    assert delay.microseconds % 1000 == 0
    longest = rule.delay(attempt, 0.0)
    millisecond = timedelta(milliseconds=1)
    assert longest * (1 - rule.jitter) - millisecond <= delay <= longest
    assert longest <= rule.delay(attempt + 1, 0.0)


@given(rules, st.integers(0, 20), draws)
def test_an_own_rule_replaces_table_and_interval(rule, attempt, draw):
    assert backoff(attempt, draw, timedelta(seconds=3), rule) == rule.delay(attempt, draw)


def test_an_own_rule_grows_to_its_maximum():
    rule = parse_backoff(
        Fields({"backoff": {"initial": "5s", "factor": 3, "maximum": "1m", "jitter": 0.5}})
    )
    assert [rule.delay(n, 0.0).total_seconds() for n in range(4)] == [5, 15, 45, 60]
    assert rule.delay(3, 0.5) == timedelta(seconds=45)
    assert parse_backoff(Fields({"backoff": {"initial": "5s"}})) == Backoff(
        timedelta(seconds=5), 2.0, timedelta(hours=2), 0.0
    )
    assert parse_backoff(Fields({"backoff": {"initial": "3h"}})).maximum == timedelta(hours=3)


@pytest.mark.parametrize(
    ("given_", "field"),
    [
        ("5s", "backoff"),
        ({}, "backoff.initial"),
        ({"initial": "0s"}, "backoff.initial"),
        ({"initial": "8d"}, "backoff.initial"),
        ({"initial": 5}, "backoff.initial"),
        ({"initial": "5s", "maximum": "4s"}, "backoff.maximum"),
        ({"initial": "5s", "maximum": "8d"}, "backoff.maximum"),
        ({"initial": "5s", "factor": 0.5}, "backoff.factor"),
        ({"initial": "5s", "factor": 101}, "backoff.factor"),
        ({"initial": "5s", "factor": True}, "backoff.factor"),
        ({"initial": "5s", "factor": float("nan")}, "backoff.factor"),
        ({"initial": "5s", "jitter": "much"}, "backoff.jitter"),
        ({"initial": "5s", "jitter": 1.1}, "backoff.jitter"),
        ({"initial": "5s", "max": "1m"}, "backoff.max"),
    ],
)
def test_a_bad_rule_is_refused_by_its_field(given_, field):
    with pytest.raises(Invalid) as raised:
        parse_backoff(Fields({"backoff": given_}))
    assert raised.value.field == field
    assert raised.value.message.startswith(field)


def test_a_rule_is_stored_with_its_function_but_never_taken_from_a_sync():
    function = {
        "app": "a",
        "name": "f",
        "url": "http://localhost:1/f",
        "backoff": {"initial": "5s"},
    }
    (made,) = parse_function(function).functions
    assert made.backoff == Backoff(timedelta(seconds=5))
    assert config_from_json(made.to_json()) == made
    half = Backoff(timedelta(seconds=1), 1.5, timedelta(minutes=1), 0.25)
    changed = replace(made, backoff=half)
    assert config_from_json(changed.to_json()) == changed
    step = {"runtime": {"type": "http", "url": "http://localhost:1/f"}}
    synced = {"id": "f", "name": "f", "steps": {"step": step}, "backoff": "anything"}
    assert parse_config(Fields(synced)).backoff is None
