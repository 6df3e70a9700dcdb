"""Bars of a plot by time cover its span, and have ends that people count in."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from inngest_py.dashboard.parts.time_bars import MOST_BARS, edges

BEGIN = datetime(2026, 3, 1, 10, 17, 42, 500_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("span", "size"),
    [
        (timedelta(0), timedelta(seconds=1)),
        (timedelta(milliseconds=300), timedelta(seconds=1)),
        (timedelta(seconds=50), timedelta(seconds=1)),
        (timedelta(minutes=15), timedelta(seconds=15)),
        (timedelta(hours=1), timedelta(minutes=1)),
        (timedelta(days=1), timedelta(minutes=30)),
        (timedelta(days=30), timedelta(hours=12)),
        (timedelta(days=4000), timedelta(days=66, seconds=57_600)),
    ],
)
def test_a_span_is_divided_at_whole_units(span: timedelta, size: timedelta) -> None:
    found = edges(BEGIN, BEGIN + span)
    assert found[0] == BEGIN
    assert found[-1] == max(BEGIN + span, BEGIN + timedelta(milliseconds=1))
    assert found == sorted(set(found))
    assert len(found) <= MOST_BARS + 2
    inner = found[1:-1]
    assert {after - one for one, after in pairwise(inner)} <= {size}
    assert all(at.timestamp() % size.total_seconds() == 0 for at in inner)


def test_a_span_that_moves_keeps_the_ends_of_its_bars() -> None:
    span = timedelta(hours=24)
    first, later = (edges(at, at + span) for at in (BEGIN, BEGIN + timedelta(minutes=7)))
    assert first[2:-1] == later[1:-1] or first[1:-1] == later[1:-1]
