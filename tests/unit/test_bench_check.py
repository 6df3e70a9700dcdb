"""The bench's regression check: what it calls slower, and how many pairs it takes."""

import random
from itertools import count, repeat

import pytest

from bench.check import ALLOWED, Intervals, judge, ratios, taken
from bench.growth import change
from bench.neighbours import Used
from bench.pairs import Interval, Verdict, interval

RECORDED = {"rate": 4.0, "cpu": 2.0}


def measured(rate: tuple[float, float], cpu: tuple[float, float]) -> Intervals:
    return {
        kind: Interval((low * high) ** 0.5, low, high, 15)
        for kind, (low, high) in (("rate", rate), ("cpu", cpu))
    }


@pytest.mark.parametrize(
    ("rate", "cpu", "expected"),
    [
        ((3.9, 4.1), (1.9, 2.1), (Verdict.AT_LEAST, Verdict.AT_LEAST)),
        ((3.41, 5.0), (1.71, 9.0), (Verdict.AT_LEAST, Verdict.AT_LEAST)),
        ((2.0, 3.41), (1.0, 1.71), (Verdict.UNCLEAR, Verdict.UNCLEAR)),
        ((2.0, 3.39), (1.9, 2.1), (Verdict.BELOW, Verdict.AT_LEAST)),
        ((3.9, 4.1), (1.0, 1.69), (Verdict.AT_LEAST, Verdict.BELOW)),
    ],
)
def test_a_regression_needs_the_whole_interval_fifteen_per_cent_below(
    rate: tuple[float, float], cpu: tuple[float, float], expected: tuple[Verdict, Verdict]
) -> None:
    found = judge(measured(rate, cpu), RECORDED)
    assert (found["rate"], found["cpu"]) == expected
    assert judge(measured(rate, cpu), {}) == {}


def test_nothing_is_clear_when_others_used_the_machine() -> None:
    found = judge(measured((2.0, 2.1), (1.9, 2.1)), RECORDED, others=0.16)
    assert set(found.values()) == {Verdict.UNCLEAR}
    found = judge(measured((2.0, 2.1), (1.9, 2.1)), RECORDED, others=0.15)
    assert found == {"rate": Verdict.BELOW, "cpu": Verdict.AT_LEAST}


def test_others_used_the_cpu_that_was_neither_ours_nor_idle() -> None:
    before = Used(capacity=1000.0, busy=600.0, own=100.0)
    assert Used(1020.0, 616.0, 112.0).share_of_others(before) == pytest.approx(0.2)
    assert Used(1020.0, 612.0, 112.5).share_of_others(before) == 0.0  # both are rounded
    assert before.share_of_others(before) == 0.0


def test_ratios_are_better_when_higher() -> None:
    ours, theirs = {"runs_s": 400.0, "cpu_ms_run": 2.0}, {"runs_s": 50.0, "cpu_ms_run": 12.0}
    found = ratios([(ours, theirs)] * 6)
    assert (found["rate"].ratio, found["cpu"].ratio) == pytest.approx((8.0, 6.0))


def test_seven_noisy_rounds_of_unchanged_code_do_not_fail() -> None:
    """Rounds from 5.2 to 9.6 with a median of 7.26, where 8.76 is recorded, are noise."""
    rounds = [(ratio, 1.0) for ratio in (5.2, 6.1, 6.9, 7.26, 8.3, 9.1, 9.6)]
    assert judge({"rate": interval(rounds)}, {"rate": 8.76}) == {"rate": Verdict.UNCLEAR}


@pytest.mark.parametrize(
    ("slowdown", "least", "most"),
    [
        (0.0, 0.0, 0.001),  # unchanged: never
        (ALLOWED, 0.0, 0.03),  # just at what is allowed: seldom
        (0.4, 0.95, 1.0),  # slower for certain: nearly always
    ],
)
def test_how_often_it_fails_on_a_machine_whose_pairs_differ_by_a_fifth(
    slowdown: float, least: float, most: float
) -> None:
    chance, failed, times = random.Random(3), 0, 2000
    for _ in range(times):
        pairs = [(8.0 * (1 - slowdown) * chance.lognormvariate(0, 0.2), 1.0) for _ in range(15)]
        found = judge({"rate": interval(pairs)}, {"rate": 8.0})
        failed += found["rate"] is Verdict.BELOW
    assert least <= failed / times <= most


@pytest.mark.parametrize(
    ("each", "limit", "pairs"),
    [(2.0, 50.0, 15), (5.0, 50.0, 11), (40.0, 50.0, 6), (40.0, None, 15)],
)
def test_time_decides_how_many_pairs_are_taken_and_results_do_not(
    each: float, limit: float | None, pairs: int
) -> None:
    clock = count(0.0, each)
    assert len(taken(repeat("a pair"), 15, limit, lambda: next(clock))) == pairs


@pytest.mark.parametrize(
    ("grown", "good", "verdict"),
    [
        (80.0, 1, Verdict.AT_LEAST),
        (79.0, 1, Verdict.BELOW),
        (150.0, 1, Verdict.AT_LEAST),
        (120.0, -1, Verdict.AT_LEAST),
        (121.0, -1, Verdict.BELOW),
        (50.0, -1, Verdict.AT_LEAST),
    ],
)
def test_a_grown_database_may_be_a_fifth_worse(grown: float, good: int, verdict: Verdict) -> None:
    found, said = change([({"x": grown}, {"x": 100.0})] * 7, "x", good)
    assert (found.ratio, said) == (pytest.approx(grown / 100), verdict)


def test_a_figure_that_varies_with_the_machine_alone_does_not_fail() -> None:
    """Some figures vary from -28 % to +75 % within one run on an idle machine."""
    grown = (72.0, 80.0, 95.0, 100.0, 110.0, 140.0, 175.0)
    found, said = change([({"x": one}, {"x": 100.0}) for one in grown], "x", 1)
    assert said is Verdict.UNCLEAR
    assert (found.low, found.high) == pytest.approx((0.72, 1.75))
