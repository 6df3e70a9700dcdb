"""The back-off follows the protocol's table."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inngest_py.domain.retries import backoff

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
