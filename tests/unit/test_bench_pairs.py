"""What pairs of measurements show, and how often that is wrong."""

import math
import random
from itertools import islice

import pytest

from bench.pairs import Interval, Verdict, coverage, in_turns, interval, least_pairs


@pytest.mark.parametrize(
    ("pairs", "depth", "expected"),
    # of the sign test's tables
    [(1, 1, 0.0), (5, 1, 0.9375), (6, 1, 0.96875), (9, 2, 0.9609375), (15, 4, 0.96484375)],
)
def test_how_surely_the_median_is_within_the_interval(
    pairs: int, depth: int, expected: float
) -> None:
    assert coverage(pairs, depth) == expected


def test_an_interval_ends_at_measured_pairs() -> None:
    found = interval([(float(n), 1.0) for n in (5, 3, 1, 4, 2, 9, 8, 7, 6)])
    assert (found.ratio, found.low, found.high) == pytest.approx((5.0, 2.0, 8.0))
    assert found.pairs == 9
    of_fifteen = interval([(float(n), 1.0) for n in range(1, 16)])
    assert (of_fifteen.low, of_fifteen.high) == pytest.approx((4.0, 12.0))


def test_too_few_pairs_have_no_interval() -> None:
    assert least_pairs() == 6
    with pytest.raises(ValueError, match="needs 6 pairs at least, these are 5"):
        interval([(1.0, 1.0)] * 5)
    assert interval([(1.0, 2.0)] * 6) == Interval(0.5, 0.5, 0.5, 6)


def test_twice_and_half_are_the_same_distance() -> None:
    pairs = [(2.0, 1.0), (1.0, 2.0)] * 4
    assert interval(pairs).ratio == pytest.approx(1.0)
    found, inverse = interval(pairs[:-1]), interval([(b, a) for a, b in pairs[:-1]])
    assert found.inverse().ratio == pytest.approx(inverse.ratio)
    assert (found.inverse().low, found.inverse().high) == pytest.approx((inverse.low, inverse.high))


@pytest.mark.parametrize(
    ("mark", "verdict"),
    [
        (7.0, Verdict.AT_LEAST),
        (8.0, Verdict.AT_LEAST),
        (9.0, Verdict.UNCLEAR),
        (10.0, Verdict.UNCLEAR),
        (10.1, Verdict.BELOW),
    ],
)
def test_an_interval_is_above_below_or_around_a_mark(mark: float, verdict: Verdict) -> None:
    assert Interval(9.0, 8.0, 10.0, 15).against(mark) is verdict


def test_pairs_are_measured_in_alternating_order() -> None:
    asked: list[str] = []

    def measure(what: str) -> str:
        asked.append(what)
        return what

    pairs = list(islice(in_turns(lambda: measure("a"), lambda: measure("b")), 4))
    assert pairs == [("a", "b")] * 4
    assert "".join(asked) == "abbaabba"


@pytest.mark.parametrize("shape", ["even", "skewed", "drifting"])
def test_intervals_hold_the_true_ratio_as_often_as_they_say(shape: str) -> None:
    """This holds for any noise in the pairs, and while the machine's speed changes."""
    chance, true, held, times = random.Random(7), 8.0, 0, 2000
    for _ in range(times):
        pairs = []
        for place in range(15):
            if shape == "skewed":  # now and then another process uses the machine
                noise = chance.expovariate(1.0) * (5 if chance.random() < 0.2 else 0.1)
                noise -= 0.1 * math.log(2)
                noise = noise if chance.random() < 0.5 else -noise
            else:
                noise = chance.gauss(0, 0.2)
            speed = 100.0 / (1 + place) if shape == "drifting" else 100.0
            pairs.append((speed * true * math.exp(noise), speed))
        found = interval(pairs)
        held += found.low <= true <= found.high
    assert 0.94 < held / times <= 1
