"""Steps for apps: lengths of time, names of what is wrong, and what they import."""

import datetime
import subprocess
import sys
from typing import Any

import pytest

from inngest_py.sdk import json_values, steps
from inngest_py.sdk.steps import arguments
from tests.sdk.effects.sdk_calls import App

from .test_sdk_realtime import _HEAVY


def test_import_loads_no_part_of_the_server() -> None:
    code = f"import sys, inngest_py.sdk.steps; print([m for m in {_HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("3 days", 3 * 86400),
        ("1 day", 86400),
        ("1 hour 30 minutes", 5400),
        ("1 hour, 30 minutes and 5 seconds", 5405),
        ("1.5h", 5400),
        ("1h30m", 5400),
        ("90s", 90),
        ("2 Weeks", 14 * 86400),
        ("250ms", 0.25),
        ("0s", 0),
        (datetime.timedelta(minutes=2), 120),
    ],
)
def test_lengths_of_time(given: Any, seconds: float) -> None:
    assert arguments.milliseconds("timeout", given) == seconds * 1000


def test_a_sleep_is_never_shorter_than_what_was_asked_for() -> None:
    """The server rounds to whole seconds, so that 500 ms would be none."""
    made = App(lambda ctx: steps.sleep(ctx, "a little", "500ms"))
    before = datetime.datetime.now(datetime.UTC)
    step = made.call("run").step
    after = datetime.datetime.now(datetime.UTC)
    assert step["op"] == "Sleep"
    until = datetime.datetime.fromisoformat(step["name"])
    second, most = datetime.timedelta(seconds=1), datetime.timedelta(milliseconds=1)
    assert before + second - most <= until <= after + second


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("", "timeout: '' is no length of time"),
        ("3", "timeout: '3' is no length of time"),
        ("days", "is no length of time"),
        ("3 days ago", "is no length of time"),
        ("3 months", "'months' in '3 months' is no unit"),
        ("-3 days", "is no length of time"),
        (datetime.timedelta(days=-1), "is negative"),
        ("400 days", "over 366 days"),
        (3, "not a value of type int"),
        (None, "not None"),
    ],
)
def test_wrong_lengths_of_time(given: Any, told: str) -> None:
    with pytest.raises((TypeError, ValueError), match=told) as caught:
        arguments.milliseconds("timeout", given)
    assert str(caught.value).startswith("timeout: ")


_LOOP: list[Any] = []
_LOOP.append(_LOOP)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (
            {"items": [1, {"when": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)}]},
            'step "charge": result.items[1].when is a datetime, which JSON has not',
        ),
        ({1, 2}, "result is a set, which JSON has not"),
        ({"a b": b"x"}, "result['a b'] is a bytes"),
        ([float("nan")], "result[0] is nan, which JSON has not"),
        ({(1, 2): 3}, "result has the key (1, 2) of type tuple: keys must be text"),
        (_LOOP, "result[0] holds itself"),
    ],
)
def test_value_that_is_not_json_is_named(value: Any, told: str) -> None:
    with pytest.raises(steps.NotJson) as caught:
        json_values.check_result("charge", value)
    assert told in str(caught.value)


@pytest.mark.parametrize("value", [None, [1, (2, 3)], {"a": {"b": 1.5}, 3: True}, "text"])
def test_json_is_let_through(value: Any) -> None:
    json_values.check_result("charge", value)


def test_the_context_is_asked_for() -> None:
    call: Any = steps.sleep
    with pytest.raises(TypeError, match=r"ctx: give the context, .* not a value of type str"):
        call("charge", "a", "1s")
