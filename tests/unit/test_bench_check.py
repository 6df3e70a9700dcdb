"""The regression gate: what it calls slower, and when it measures again."""

from itertools import count

import pytest

from bench.check import Ratios, _turns, slower

RECORDED = {"rate": 4.0, "cpu": 2.0}


@pytest.mark.parametrize(
    ("measured", "told"),
    [
        ({"rate": 4.0, "cpu": 2.0}, 0),
        ({"rate": 3.41, "cpu": 1.71}, 0),
        ({"rate": 9.0, "cpu": 9.0}, 0),
        ({"rate": 3.39, "cpu": 2.0}, 1),
        ({"rate": 4.0, "cpu": 1.69}, 1),
        ({"rate": 1.0, "cpu": 1.0}, 2),
    ],
)
def test_fifteen_per_cent(measured: Ratios, told: int) -> None:
    assert len(slower(measured, RECORDED)) == told
    assert slower(measured, {}) == []


@pytest.mark.parametrize(
    ("rates", "seconds", "rate", "turns"),
    [
        ([4.0, 1.0, 4.2], 5.0, 4.0, 3),
        # a bad median is measured again, and may have been the machine's fault
        ([1.0, 1.0, 4.0, 4.0, 4.0], 5.0, 4.0, 5),
        ([1.0] * 9, 5.0, 1.0, 7),
        ([1.0] * 9, 20.0, 1.0, 2),
    ],
)
def test_turns(rates: list[float], seconds: float, rate: float, turns: int) -> None:
    left, clock = iter(rates), count(0.0, seconds)
    found, taken = _turns(lambda: {"rate": next(left), "cpu": 2.0}, RECORDED, lambda: next(clock))
    assert (found["rate"], taken) == (rate, turns)
