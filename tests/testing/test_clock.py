"""The clock of a test: moved forward, with all that becomes due on the way."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from inngest_py.testing import Inngest, InngestTestError

from .shop import DAY, Shop


def _near(moment: datetime | None, expected: datetime) -> bool:
    """Compare times of sleeps, which the SDK computes by the real time, with its own delays."""
    return moment is not None and abs(moment - expected) < timedelta(minutes=1)


def test_three_days_of_sleep_take_no_time(inngest: Inngest, shop: Shop) -> None:
    run = inngest.run(shop.remind)
    began = inngest.clock.now
    inngest.clock.advance(days=2)
    assert shop.done.count("second") == 1 and "third" not in shop.done
    inngest.clock.advance(days=1)
    assert "third" in shop.done
    assert inngest.clock.now == began + 3 * DAY
    assert run.status == "running"
    inngest.clock.advance(DAY)
    assert run.result == "lost"
    assert _near(run.ended_at, began + 4 * DAY)


def test_each_thing_happens_at_its_own_time(inngest: Inngest, shop: Shop) -> None:
    began = inngest.clock.now
    run = inngest.run(shop.remind)
    inngest.clock.advance(days=10)
    assert _near(run.ended_at, began + 4 * DAY)
    assert len(inngest.runs(shop.nightly)) == 10


def test_next_goes_to_what_is_due_next(inngest: Inngest, shop: Shop) -> None:
    inngest.clock.to("2027-01-01T00:00:00Z")
    assert inngest.clock.next() == datetime(2027, 1, 1, 3, tzinfo=UTC)
    assert shop.done[-1] == "nightly"


@pytest.mark.inngest(start="2027-01-01T00:00:00Z")
def test_a_test_may_begin_at_a_time(inngest: Inngest, shop: Shop) -> None:
    assert inngest.clock.now == datetime(2027, 1, 1, tzinfo=UTC)
    inngest.clock.to(datetime(2027, 1, 2, 4, tzinfo=UTC))
    assert [run.result for run in inngest.runs(shop.nightly)] == ["nightly"] * 2


@pytest.mark.parametrize(
    ("to", "told"),
    [
        (datetime(2020, 1, 1, tzinfo=UTC), "cannot be set back to 2020-01-01"),
        (datetime(2099, 1, 1), "has no zone"),  # noqa: DTZ001
        ("tomorrow", "clock.to: "),
        (3, "give a datetime or ISO 8601 text, not 3"),
    ],
)
def test_bad_moments_are_refused_and_move_nothing(inngest: Inngest, to: Any, told: str) -> None:
    before = inngest.clock.now
    with pytest.raises(InngestTestError, match=told):
        inngest.clock.to(to)
    with pytest.raises(InngestTestError, match="the clock cannot go back"):
        inngest.clock.advance(days=-1)
    assert inngest.clock.now == before


def test_nothing_due_is_said() -> None:
    with Inngest() as inngest, pytest.raises(InngestTestError, match="nothing is due later"):
        inngest.clock.next()


def test_events_are_stamped_by_the_clock(inngest: Inngest, shop: Shop) -> None:
    inngest.clock.advance(days=30)
    inngest.run(shop.order)
    for event in inngest.events:
        if event.name.startswith("shop/"):
            assert event.received_at - inngest.clock.now <= timedelta(0)
            assert inngest.clock.now - event.received_at < timedelta(seconds=1)
