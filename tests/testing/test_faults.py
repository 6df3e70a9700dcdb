"""Calls that fail, answers that are lost, and a server that dies: the code has to survive."""

import re
from datetime import timedelta
from typing import Any

import pytest

from inngest_py.testing import Inngest, InngestTestError
from inngest_py.testing.errors import NeverMet

from .shop import DAY, Shop, flask_shop


@pytest.mark.parametrize("failure", [{"status": 503}, {"error": "timed out"}, {}])
def test_the_next_call_fails_and_the_run_goes_on(
    inngest: Inngest, shop: Shop, failure: Any
) -> None:
    before = inngest.clock.now
    inngest.fail_next_call(**failure)
    run = inngest.run(shop.order)
    assert run.result == {"order": None, "charge": "charge"}
    assert shop.done == ["reserve", "charge"]
    assert inngest.clock.now > before


def test_calls_fail_as_often_as_told_and_of_one_function_alone(
    inngest: Inngest, shop: Shop
) -> None:
    inngest.fail_next_call(status=500, function=shop.order, times=3)
    assert inngest.run(shop.parts).status == "completed"
    run = inngest.run(shop.order)
    assert run.error is not None and "HTTP 500 before the SDK responded" in run.error.message
    assert shop.done == ["bolt", "nut"]


def test_a_result_that_was_lost_with_the_server_is_made_again(inngest: Inngest, shop: Shop) -> None:
    inngest.crash_after_step(shop.order, "charge")
    run = inngest.run(shop.order)
    assert run.result == {"order": None, "charge": "charge"}
    assert shop.done == ["reserve", "charge", "charge"]


def test_a_result_that_was_stored_before_the_server_died_is_kept(
    inngest: Inngest, shop: Shop
) -> None:
    inngest.crash_after_step(shop.order, "charge", when="after commit")
    run = inngest.run(shop.order)
    assert run.result == {"order": None, "charge": "charge"}
    assert shop.done == ["reserve", "charge"]


def test_a_lost_answer_is_an_attempt(inngest: Inngest, shop: Shop) -> None:
    inngest.crash_after_step(shop.order, "charge", when="answer lost")
    run = inngest.run(shop.order)
    assert run.result == {"order": None, "charge": "charge"}
    assert shop.done == ["reserve", "charge", "charge"]


@pytest.mark.parametrize("when", ["before commit", "after commit", "answer lost"])
def test_parallel_steps_survive_a_crash(inngest: Inngest, shop: Shop, when: str) -> None:
    inngest.crash_after_step(shop.parts, "nut", when=when)
    assert inngest.run(shop.parts).wait().result == ["bolt", "nut"]
    assert shop.done.count("nut") == (1 if when == "after commit" else 2)


def test_sleeps_and_waits_survive_a_crash(inngest: Inngest, shop: Shop) -> None:
    inngest.crash_after_step(shop.remind, "second")
    run = inngest.run(shop.remind)
    inngest.clock.advance(days=3, minutes=1)
    inngest.send("shop/cart.paid")
    assert run.result == "paid"
    assert [one for one in shop.done if one != "nightly"] == ["first", "second", "second", "third"]


def test_a_mocked_step_can_be_lost(inngest: Inngest, shop: Shop) -> None:
    inngest.mock_step(shop.order, "charge", returns="mocked")
    inngest.crash_after_step(shop.order, "charge")
    assert inngest.run(shop.order).result == {"order": None, "charge": "mocked"}


def test_faults_that_have_not_happened_are_errors() -> None:
    shop = Shop()
    with (
        pytest.raises(NeverMet, match="no run executed that step"),
        Inngest(flask_shop(shop)) as one,
    ):
        one.crash_after_step(shop.order, "chrge")
        one.run(shop.order)
    with pytest.raises(NeverMet, match="no call was made"), Inngest(flask_shop(shop)) as one:
        one.fail_next_call(status=500)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"status": 200}, "status must be 300 to 599: 200"),
        ({"error": "tired"}, "error must be one of"),
        ({"error": "timed out", "status": 500}, "give status or error, not both"),
        ({"times": 0}, "times must be 1 or more"),
    ],
)
def test_bad_failures_are_refused(inngest: Inngest, given: Any, told: str) -> None:
    with pytest.raises(InngestTestError, match=re.escape(told)):
        inngest.fail_next_call(**given)


def test_bad_crashes_are_refused(inngest: Inngest, shop: Shop) -> None:
    with pytest.raises(InngestTestError, match="when must be one of"):
        inngest.crash_after_step(shop.order, "charge", when="soon")


@pytest.mark.inngest(start="2027-01-01T00:00:00.500Z")
def test_what_is_due_while_a_server_is_dead_happens_at_its_own_time(
    inngest: Inngest, shop: Shop
) -> None:
    begun = inngest.clock.now
    resting = inngest.run(shop.remind)
    inngest.clock.advance(DAY - timedelta(seconds=10))
    inngest.crash_after_step(shop.order, "charge")
    both = inngest.send([{"name": "shop/order.placed"}, {"name": "shop/parts"}])
    order, audit, parts = [run for sent in both for run in sent.runs]
    assert {order.function, audit.function, parts.function} == {
        "shop-order",
        "shop-audit",
        "shop-parts",
    }
    ends = {run.function: run.wait().ended_at for run in (order, audit, parts)}
    crashed_at = begun + DAY - timedelta(seconds=10)
    assert ends == {
        "shop-order": crashed_at + timedelta(seconds=31),
        "shop-audit": crashed_at,
        "shop-parts": crashed_at,
    }
    inngest.clock.advance(days=1)
    first, second = (resting.steps[f"rest before the {name}"] for name in ("first", "second"))
    assert first.done and second.done
    assert shop.done.index("first") < len(shop.done) - shop.done[::-1].index("charge") - 1
