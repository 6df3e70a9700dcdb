"""Ten tests of the shop. They run the real server in this process, on a clock that they move."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import shop

from inngest_py.testing import Inngest


@pytest.fixture
def inngest_app() -> Iterator[object]:
    """The app under test: the fixture `inngest` serves it."""
    shop.charges.clear()
    return shop.app


def test_an_order_is_shipped(inngest: Inngest) -> None:
    run = inngest.run(shop.ship_order, "shop/order.placed", data={"order": "A-1"})
    assert run.result == "parcel of A-1, receipt of A-1"
    assert run.steps["charge"].output == "receipt of A-1"
    assert shop.charges == {"A-1": 4200}


def test_three_reminders_take_three_days(inngest: Inngest) -> None:
    run = inngest.run(shop.remind, data={"id": 7})
    inngest.clock.advance(days=2)
    assert run.steps["mail 2"].done
    assert "mail 3" not in run.steps
    inngest.clock.advance(days=8)
    assert run.result == "lost"


def test_a_paid_cart_is_won(inngest: Inngest) -> None:
    run = inngest.run(shop.remind, data={"id": 7})
    inngest.clock.advance(days=3)
    inngest.send("shop/cart.paid", data={"id": 8})
    assert run.status == "running"
    inngest.send("shop/cart.paid", data={"id": 7})
    assert run.result == "won"


def test_nobody_reminds_a_customer_who_has_left(inngest: Inngest) -> None:
    run = inngest.run(shop.remind, data={"id": 7})
    inngest.clock.advance(days=1)
    inngest.send("shop/customer.deleted", data={"id": 7})
    assert run.status == "cancelled"


def test_a_bank_that_is_away_is_asked_again(inngest: Inngest) -> None:
    inngest.mock_step(shop.ship_order, "charge", raises=ConnectionError("no answer"), times=2)
    run = inngest.run(shop.ship_order, data={"order": "A-1"})
    assert run.steps["charge"].attempts == 3
    assert run.result == "parcel of A-1, receipt of A-1"


def test_a_card_that_is_refused_ends_the_order(inngest: Inngest) -> None:
    inngest.mock_step(shop.ship_order, "charge", raises=ValueError("card refused"))
    run = inngest.run(shop.ship_order, data={"order": "A-1"})
    assert run.status == "failed"
    assert run.error.message == "card refused"
    assert "pack" not in run.steps


def test_a_crash_after_the_charge_charges_once(inngest: Inngest) -> None:
    inngest.crash_after_step(shop.ship_order, "charge")
    run = inngest.run(shop.ship_order, data={"order": "A-1"})
    assert run.result == "parcel of A-1, receipt of A-1"
    assert shop.charges == {"A-1": 4200}


def test_an_order_survives_a_deploy_of_the_app(inngest: Inngest) -> None:
    inngest.fail_next_call(error="connection refused", times=2)
    run = inngest.run(shop.ship_order, data={"order": "A-1"})
    assert run.status == "completed"


def test_an_order_by_http_starts_what_follows(inngest: Inngest) -> None:
    shop.app.test_client().post("/orders/A-1")
    [shipped] = inngest.events.named("shop/order.shipped")
    assert shipped.data == {"order": "A-1", "label": "label of A-1"}
    [run] = inngest.runs(shop.thank)
    inngest.clock.advance(days=1)
    assert run.result == "thanks for A-1"


@pytest.mark.inngest(start="2027-01-01T00:00Z")
def test_what_is_due_happens_at_its_time(inngest: Inngest) -> None:
    for version in (1, 2, 3):
        inngest.send("shop/article.changed", data={"version": version})
        inngest.clock.advance(minutes=4)
    assert inngest.runs(shop.index) == []
    inngest.clock.advance(minutes=2)
    assert [run.result for run in inngest.runs(shop.index)] == [3]
    inngest.clock.to(datetime(2027, 1, 4, tzinfo=UTC))
    assert [run.ended_at.hour for run in inngest.runs(shop.report)] == [3, 3, 3]
