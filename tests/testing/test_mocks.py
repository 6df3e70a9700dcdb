"""Steps whose code is not run: their results come from the test, by the engine's own way."""

import inngest as sdk
import pytest

from inngest_py.testing import Inngest, InngestTestError
from inngest_py.testing.errors import NeverMet, NotServed

from .shop import Shop, flask_shop


class Busy(Exception):
    pass


def test_a_mocked_step_is_not_run(inngest: Inngest, shop: Shop) -> None:
    inngest.mock_step(shop.order, "charge", returns={"id": "ch_1"})
    run = inngest.run(shop.order, data={"order": "A-1"})
    assert run.result == {"order": "A-1", "charge": {"id": "ch_1"}}
    assert shop.done == ["reserve"]
    assert (run.steps["charge"].output, run.steps["charge"].attempts) == ({"id": "ch_1"}, 1)


def test_a_mocked_error_is_tried_as_often_as_the_function_says(
    inngest: Inngest, shop: Shop
) -> None:
    inngest.mock_step("order", "charge", raises=Busy("the bank is closed"))
    run = inngest.run(shop.order)
    assert run.status == "failed"
    assert str(run.error) == "Busy: the bank is closed"
    assert run.steps["charge"].attempts == 3
    assert shop.done == ["reserve"]


def test_an_error_that_is_not_to_be_retried_is_not(inngest: Inngest, shop: Shop) -> None:
    inngest.mock_step(shop.order, "charge", raises=sdk.NonRetriableError("no such card"))
    run = inngest.run(shop.order)
    assert (run.status, run.steps["charge"].attempts) == ("failed", 1)


def test_mocks_of_a_step_answer_one_after_the_other(inngest: Inngest, shop: Shop) -> None:
    inngest.mock_step(shop.order, "charge", raises=Busy, times=1)
    inngest.mock_step(shop.order, "charge", returns="mocked", times=1)
    run = inngest.run(shop.order)
    assert (run.result, run.steps["charge"].attempts) == ({"order": None, "charge": "mocked"}, 2)
    assert inngest.run(shop.order).result == {"order": None, "charge": "charge"}


def test_waits_and_invoked_functions_can_be_mocked(inngest: Inngest, shop: Shop) -> None:
    for number in ("first", "second", "third"):
        inngest.mock_step(shop.remind, f"rest before the {number}")
    inngest.mock_step(shop.remind, "paid", returns={"name": "shop/cart.paid", "data": {}})
    inngest.mock_step(shop.parent, "child", returns="mocked")
    before = inngest.clock.now
    assert inngest.run(shop.remind).result == "paid"
    assert inngest.run(shop.parent).result == "mocked"
    assert inngest.clock.now == before and inngest.runs(shop.order) == []


def test_an_invoked_function_can_fail(inngest: Inngest, shop: Shop) -> None:
    inngest.mock_step(shop.parent, "child", raises=sdk.NonRetriableError("sold out"))
    assert str(inngest.run(shop.parent).error) == "NonRetriableError: sold out"


def test_parallel_and_repeated_steps_can_be_mocked(inngest: Inngest, shop: Shop) -> None:
    inngest.mock_step(shop.parts, "nut", returns="mocked")
    inngest.mock_step(shop.repeat, "again:1", returns="mocked")
    assert inngest.run(shop.parts).result == ["bolt", "mocked"]
    assert inngest.run(shop.repeat).result == ["again 0", "mocked", "again 2"]
    assert shop.done == ["bolt", "again 0", "again 2"]


@pytest.mark.parametrize(
    ("runs", "told"),
    [
        (True, "no run came to that step; its runs met 'bolt', 'nut'"),
        (False, "no run of shop-parts has met a step"),
    ],
)
def test_a_mock_that_no_run_met_is_an_error_that_names_the_steps(runs: bool, told: str) -> None:
    shop = Shop()
    with (
        pytest.raises(NeverMet, match=told),
        Inngest(flask_shop(shop)) as inngest,
    ):
        inngest.mock_step(shop.parts, "pack", returns=1)
        if runs:
            inngest.run(shop.parts)


def test_bad_mocks_are_refused(inngest: Inngest, shop: Shop) -> None:
    with pytest.raises(NotServed, match="serves a function 'pats'"):
        inngest.mock_step("pats", "bolt")
    with pytest.raises(InngestTestError, match="times must be 1 or more: 0"):
        inngest.mock_step(shop.parts, "bolt", times=0)
    with pytest.raises(InngestTestError, match="returns must be JSON"):
        inngest.mock_step(shop.parts, "bolt", returns=object())
