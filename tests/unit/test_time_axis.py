"""The axis of a timeline, on which long waits are cut."""

from datetime import timedelta

import pytest

from inngest_py.dashboard.run_page.time_axis import TimeAxis, merged
from tests.factories import NOW


def test_steps_of_a_millisecond_stay_visible_beside_a_sleep_of_days() -> None:
    days = 3 * 86400
    busy = [(NOW, NOW + timedelta(seconds=0.003))]
    busy += [(NOW + timedelta(seconds=days), NOW + timedelta(seconds=days + 0.002))]
    axis = TimeAxis(NOW, NOW + timedelta(seconds=days + 0.002), busy)
    assert [piece.is_cut for piece in axis.pieces] == [False, True, False]
    assert axis.at(NOW) == 0
    assert axis.at(NOW + timedelta(seconds=0.001)) == pytest.approx(0.92 / 5)
    assert axis.at(NOW + timedelta(seconds=days)) == pytest.approx(0.92 * 3 / 5 + 0.08)
    assert axis.at(NOW + timedelta(seconds=days + 0.002)) == pytest.approx(1)


def test_an_axis_without_long_waits_is_even() -> None:
    begins = [NOW + timedelta(seconds=n) for n in (0, 9)]
    busy = [(begin, begin + timedelta(seconds=1)) for begin in begins]
    axis = TimeAxis(NOW, NOW + timedelta(seconds=10), busy)
    assert not axis.is_cut
    assert axis.at(NOW + timedelta(seconds=5)) == pytest.approx(0.5)
    assert axis.at(NOW - timedelta(seconds=5)) == 0
    assert axis.at(NOW + timedelta(seconds=50)) == 1


def test_many_long_waits_leave_most_of_the_axis_to_what_ran() -> None:
    busy = [(NOW + timedelta(hours=n), NOW + timedelta(hours=n, seconds=1)) for n in range(100)]
    axis = TimeAxis(NOW, busy[-1][1], busy)
    kept = sum(piece.x1 - piece.x0 for piece in axis.pieces if not piece.is_cut)
    assert kept == pytest.approx(0.6)
    places = [axis.at(begin) for begin, _ in busy]
    assert places == sorted(places)


def test_a_run_in_which_nothing_ran_is_not_cut() -> None:
    assert not TimeAxis(NOW, NOW + timedelta(days=1)).is_cut
    assert not TimeAxis(NOW, NOW).is_cut


def test_intervals_are_joined() -> None:
    one, two, three = (NOW + timedelta(seconds=n) for n in (1, 2, 3))
    assert merged([(two, three), (NOW, two), (one, two)]) == [(NOW, three)]
