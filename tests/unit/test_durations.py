"""Durations follow the protocol's vectors."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inngest_py.domain.errors import Invalid
from inngest_py.domain.values import durations

VECTORS = json.loads(
    (Path(__file__).parent.parent / "vectors" / "vectors-durations.json").read_text()
)
MOST = 2**63 - 1


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: repr(case["input"]))
def test_parse_follows_the_vectors(case):
    if case.get("error"):
        with pytest.raises(Invalid, match="is not a duration"):
            durations.parse(case["input"])
    else:
        assert durations.parse(case["input"]) == case["nanoseconds"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1w2d3h4m5s", timedelta(days=9, hours=3, minutes=4, seconds=5)),
        ("-1.5h", timedelta(hours=-1.5)),
        ("1500us", timedelta(microseconds=1500)),
        ("1ns", timedelta(0)),
        ("0", timedelta(0)),
        ("1μs", timedelta(microseconds=1)),
        ("0.1s", timedelta(milliseconds=100)),
        ("106751d", timedelta(days=106751)),
    ],
)
def test_to_timedelta(text, expected):
    assert durations.to_timedelta(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "-",
        "+",
        "--1s",
        "1",
        "s",
        ".s",
        "1..s",
        "1.5.s",
        "1s-1s",
        "1e3s",
        "٣s",
        "1s\n",
        "9" * 200 + "s",
    ],
)
def test_text_that_is_not_a_duration_is_invalid(text):
    with pytest.raises(Invalid):
        durations.parse(text)


def test_a_duration_is_bounded_as_in_go():
    assert durations.parse(f"{MOST}ns") == MOST
    for text in (f"{MOST + 1}ns", "292471209d", "99999999999w", "9" * 100 + "h"):
        with pytest.raises(Invalid):
            durations.parse(text)


@given(st.text(max_size=30) | st.text("0123456789.+-nsuµmhdw", max_size=30))
def test_parse_raises_only_invalid(text):
    try:
        nanoseconds = durations.parse(text)
    except Invalid:
        return
    assert -MOST <= nanoseconds <= MOST
    durations.to_timedelta(text)


@given(st.lists(st.tuples(st.integers(0, 999), st.sampled_from(["ms", "s", "m", "h", "d", "w"]))))
def test_parts_add_up(parts):
    text = "".join(f"{count}{unit}" for count, unit in parts) or "0"
    total = sum((durations.to_timedelta(f"{count}{unit}") for count, unit in parts), timedelta())
    if len(text) < 128:
        assert durations.to_timedelta(text) == total
