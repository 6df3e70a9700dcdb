"""Roll-ups: durations in buckets, figures by hour, parts of a history."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inngest_py.domain.reports import roll_ups
from inngest_py.domain.reports.roll_ups import EndedRun, Figures, Histogram

NOW = datetime(2026, 3, 1, 12, 34, tzinfo=UTC)
MS = timedelta(milliseconds=1)


def ended(status: str, at: datetime, *, queued: float = 10, ran: float | None = 100) -> EndedRun:
    """Make a run that ended at a time, after it was queued and ran for milliseconds."""
    started = None if ran is None else at - ran * MS
    return EndedRun("f", status, (started or at) - queued * MS, started, at)


@given(st.lists(st.floats(1, 1e9), min_size=1, max_size=300), st.sampled_from([0.5, 0.95]))
def test_percentiles_are_at_most_five_percent_off(values: list[float], share: float) -> None:
    counted = Histogram()
    for ms in values:
        counted.add(ms * MS)
    found = counted.percentile(share)
    rank = max(1, -(-len(values) * int(share * 100) // 100))
    right = sorted(values)[rank - 1]
    assert found is not None
    assert abs(found - right) <= 0.05 * right + 0.001


def test_histograms_of_hours_add_up_to_that_of_all() -> None:
    draw = random.Random(7)
    parts, whole = [Histogram() for _ in range(3)], Histogram()
    for place in range(900):
        took = draw.lognormvariate(5, 3) * MS
        parts[place % 3].add(took)
        whole.add(took)
    merged = Histogram()
    merged.merge(parts[0])
    merged.merge_text(parts[1].text())
    merged.merge_text(parts[2].text())
    assert merged.buckets == whole.buckets
    assert Histogram().percentile(0.5) is None
    assert Histogram().text() == "[]"


@pytest.mark.parametrize(
    ("ms", "least", "most"), [(-5, 0, 1), (0, 0, 1), (0.4, 0, 1), (1e12, 6e10, 8e10)]
)
def test_odd_durations_are_counted(ms: float, least: float, most: float) -> None:
    counted = Histogram()
    counted.add(ms * MS)
    found = counted.percentile(0.95)
    assert found is not None
    assert least <= found <= most


def test_runs_are_counted_by_the_hour_of_their_end() -> None:
    earlier = NOW - timedelta(hours=1)
    runs = [
        ended("completed", NOW, ran=100),
        ended("failed", NOW, ran=100),
        ended("cancelled", earlier, ran=9_000),
        ended("cancelled", earlier, ran=None),
        ended("skipped", NOW - timedelta(hours=2), ran=None),
    ]
    found = roll_ups.by_hour(runs)
    assert {hour.hour for _, hour in found} == {11, 12}
    now, before = (found["f", roll_ups.hour_of(at)] for at in (NOW, earlier))
    assert (now.completed, now.failed, now.runs, now.failure_rate) == (1, 1, 2, 0.5)
    assert (before.cancelled, before.runs, before.failure_rate) == (2, 2, None)
    assert before.run_ms.percentile(0.5) is None  # a cancelled run's end says nothing
    assert sum(before.queue_ms.buckets.values()) == 1  # the other never began


def test_a_history_has_parts_of_equal_width_that_end_with_this_hour() -> None:
    hours = {}
    for back in (0, 5, 6, 28 * 6 - 1, 28 * 6):
        hours[roll_ups.hour_of(NOW) - back * roll_ups.HOUR] = Figures(completed=1)
    found = roll_ups.bins(hours, NOW, roll_ups.SPANS["7d"])
    assert len(found) == 28
    assert found[-1].start + 6 * roll_ups.HOUR == roll_ups.hour_of(NOW) + roll_ups.HOUR
    assert [one.figures.completed for one in found if one.figures.runs] == [1, 1, 2]
