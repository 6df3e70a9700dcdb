"""The subscriptions of a new run, and the events that cancel it."""

from datetime import timedelta

import pytest

from inngest_py.domain.functions.triggers import Cancel
from inngest_py.domain.reply.cancel_on import LISTENS, cancels, subscription
from tests.factories import NOW

EVENT = {"name": "a/b", "data": {"key": "k", "n": 1}}


@pytest.mark.parametrize(
    ("condition", "left"),
    [
        (None, None),
        ("event.data.key == 'k'", None),
        ("event.data.key == async.data.key", '"k" == async.data.key'),
        ("event.data.n == 1 && async.data.x > 5", "async.data.x > 5"),
    ],
)
def test_the_runs_event_is_filled_in(condition: str | None, left: str | None) -> None:
    made = subscription(Cancel("x/stop", condition), EVENT, NOW)
    assert made is not None
    assert (made.event, made.expression) == ("x/stop", left)
    assert made.expires_at == NOW + LISTENS
    assert bool(made.key) is (left is not None and "==" in left)


@pytest.mark.parametrize(
    "cancel",
    [
        Cancel("x", "event.data.key == 'other'"),
        Cancel("x", "event.data.n > 5 && async.data.x > 5"),
        Cancel("x", timeout=timedelta(0)),
        Cancel("x", until=NOW),
    ],
)
def test_a_cancel_that_can_never_match_makes_no_subscription(cancel: Cancel) -> None:
    assert subscription(cancel, EVENT, NOW) is None


def test_a_subscription_ends_after_its_timeout_or_at_a_time() -> None:
    later = NOW + timedelta(hours=2)
    for cancel in (Cancel("x", timeout=timedelta(hours=2)), Cancel("x", until=later)):
        made = subscription(cancel, EVENT, NOW)
        assert made is not None
        assert made.expires_at == later


@pytest.mark.parametrize(
    ("expression", "ends_in", "met"),
    [
        (None, 1, True),
        (None, 0, False),
        ('"k" == async.data.key', 1, True),
        ('"o" == async.data.key', 1, False),
        ("async.data.missing > 5", 1, False),
    ],
)
def test_an_event_cancels_the_runs_that_it_matches(
    expression: str | None, ends_in: int, met: bool
) -> None:
    event = {"name": "x", "data": {"key": "k"}}
    assert cancels(expression, NOW + timedelta(seconds=ends_in), event, NOW) is met
