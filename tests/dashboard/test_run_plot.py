"""The total and the plot of the list of runs: what is counted, and for how long it is kept."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest
from sqlalchemy import update

from inngest_py.dashboard.live import run_counts
from inngest_py.dashboard.live.run_counts import Asked, Counted, RunCounts
from inngest_py.domain.runs.runs import RunStatus
from inngest_py.domain.values import ids
from inngest_py.storage.queries import run_list
from inngest_py.storage.queries.run_filters.run_query import RunQuery
from inngest_py.storage.runs.runs import RunRow
from tests.dashboard.conftest import Site, failing
from tests.engine.harness import NOW
from tests.factories import reply

HOUR = timedelta(hours=1)


def _fill(site: Site) -> None:
    """Make five runs, an hour apart: the second fails."""
    for n in range(5):
        site.engine.sdk.script = failing if n == 1 else lambda *_: reply(200, {"ok": True})
        site.engine.start()
        site.engine.drain()
        site.engine.now = NOW + (n + 1) * HOUR


def _count(
    site: Site,
    counts: RunCounts | None = None,
    seconds: float = 1000,
    clock: Iterator[float] | None = None,
    **given: Any,
) -> Counted:
    """Count what is asked for; each look at the clock takes a second."""
    asked: dict[str, Any] = {"begin": None, "end": None, "is_search": False, **given}
    query = RunQuery(
        statuses=asked.pop("statuses", None),
        function_ids=asked.pop("function_ids", None),
        from_id=ids.lowest_ulid(asked["begin"]) if asked["begin"] else None,
        before_id=ids.lowest_ulid(asked["end"]) if asked["end"] else None,
    )
    known, ticks = counts or RunCounts(), clock or count(0.0, 1.0)
    with site.engine.ctx.db.reading() as tx:
        found = Asked(query, now=site.engine.now, **asked)
        return known.count(tx, found, seconds, ticks.__next__)


def _bars(counted: Counted) -> dict[datetime, tuple[int, int | None]]:
    return {bar.start: (bar.runs, bar.failed) for bar in counted.bars if bar.runs}


@pytest.fixture(params=[5_000, 1], ids=["few", "many"])
def most_exact(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """How many runs are counted each time: with one, the bars are counted one by one."""
    monkeypatch.setattr(run_counts, "MOST_EXACT", request.param)
    yield request.param


@pytest.mark.parametrize(
    ("given", "runs", "failed"),
    [
        ({}, 5, 1),
        ({"statuses": [RunStatus.COMPLETED]}, 4, 0),
        ({"statuses": [RunStatus.FAILED, RunStatus.COMPLETED]}, 5, 1),
        ({"function_ids": ["nobody's"]}, 0, 0),
        ({"begin": NOW + HOUR}, 4, 1),
        ({"begin": NOW + HOUR, "end": NOW + 3 * HOUR}, 2, 1),
        ({"end": NOW + HOUR}, 1, 0),
        ({"begin": NOW + HOUR, "end": NOW}, 0, 0),
    ],
)
def test_few_and_many_runs_are_counted_alike(
    site: Site, most_exact: int, given: dict[str, Any], runs: int, failed: int
) -> None:
    _fill(site)
    counted = _count(site, **given)
    assert counted.total == runs
    assert counted.is_whole
    assert counted.is_exact is (runs <= most_exact)
    assert sum(bar.runs or 0 for bar in counted.bars) == runs
    assert sum(bar.failed or 0 for bar in counted.bars) == failed
    if counted.bars:
        assert counted.bars[0].start == given.get("begin", NOW)
        assert counted.bars[-1].end == given.get("end", site.engine.now)


def test_each_run_counts_in_its_bar(site: Site, most_exact: int) -> None:
    _fill(site)
    found = _bars(_count(site))
    assert [pair for _, pair in sorted(found.items())] == [(1, 0), (1, 1), (1, 0), (1, 0), (1, 0)]
    begins = [(NOW + n * HOUR).replace(minute=0, second=0) for n in range(1, 5)]
    assert sorted(found)[1:] == begins  # NOW is four minutes past


def test_what_the_time_does_not_suffice_for_is_counted_at_the_next_look(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_counts, "MOST_EXACT", 1)
    _fill(site)
    counts = RunCounts()
    first = _count(site, counts, seconds=100)
    assert not first.is_whole
    assert first.bars[0].runs is None  # the newest come first
    assert first.bars[-1].runs is not None
    second = _count(site, counts, seconds=100)
    assert second.is_whole
    assert second.total == 5


def test_the_newest_bar_does_not_take_the_time_of_the_others(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_counts, "MOST_EXACT", 1)
    _fill(site)
    seconds, counts, by_index = [0.0], RunCounts(), run_list.count_by_index

    def takes_a_second(*given: Any) -> tuple[int, int]:
        seconds[0] += 1
        return by_index(*given)

    monkeypatch.setattr(run_list, "count_by_index", takes_a_second)
    looks = 1
    while not _count(site, counts, 0.5, iter(lambda: seconds[0], None)).is_whole:
        looks += 1
        assert looks < 100
    assert looks > 5  # one bar at each look


def test_a_filter_that_begins_at_the_end_of_times_finds_nothing(site: Site) -> None:
    _fill(site)
    page = site.get("/runs?from=9999-12-31T23:59:59.999999")
    assert "No run matches" in page


def test_the_older_a_bar_is_the_longer_its_count_is_kept(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_counts, "MOST_EXACT", 1)
    _fill(site)
    counts = RunCounts()
    assert _count(site, counts).total == 5
    _start_at(site, NOW + HOUR)
    _start_at(site, site.engine.now)
    assert _count(site, counts).total == 6  # the newest bar is counted each time
    assert _count(site, counts, clock=count(700.0, 1.0)).total == 7


def _start_at(site: Site, moment: datetime) -> None:
    run_id = site.engine.start()
    with site.engine.ctx.db.transaction() as tx:
        other = ids.ulid(int(moment.timestamp() * 1000), bytes(10))
        tx.execute(update(RunRow).where(RunRow.id == run_id).values(id=other))


def test_a_search_has_bars_and_no_total(site: Site, most_exact: int) -> None:
    _fill(site)
    counted = _count(site, is_search=True)
    assert counted.total is None
    assert sum(bar.runs or 0 for bar in counted.bars) == 5


def test_page_says_how_many_runs_there_are(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "<figure>" not in site.get("/runs")
    _fill(site)
    assert "<strong>5 runs</strong>" in site.get("/runs")
    assert "<strong>1 run</strong>" in site.get("/runs?status=failed&status=skipped")
    assert "1 failed" in site.get("/runs?since=24h")
    assert "<strong>2 runs</strong>" in site.get(
        f"/runs?from={(NOW + HOUR):%Y-%m-%dT%H:%M:%SZ}&until={(NOW + 3 * HOUR):%Y-%m-%dT%H:%M:%SZ}"
    )
    search = site.get("/runs?q=a")
    assert 'hx-get="/runs/plot?q=a' in search  # it counts by itself
    assert "<figure>" not in search
    plot = site.get("/runs/plot?q=a")
    assert "the bars look at status, function and time alone" in plot
    assert "<strong>" not in plot
    monkeypatch.setattr(run_counts, "MOST_EXACT", 1)
    assert "about 5 runs" in _counted(site, "/runs/plot")
    monkeypatch.setattr(run_counts, "MOST_OF_BAR", 1)
    query = "status=completed&status=failed"
    assert "more than 5 runs" in _counted(site, f"/runs/plot?{query}")
    assert "since must be one of" in site.get("/runs/plot?since=x", 400)


def _counted(site: Site, path: str) -> str:
    """Ask for a plot as a page does, until all is counted."""
    for _ in range(60):  # a bar at each look, at least
        plot = site.get(path)
        if "load" not in plot:
            return plot
    raise AssertionError(f"not counted yet: {plot}")
