"""Runs of an unmodified Flask app in the test's process: started, looked at, and their events."""

from datetime import UTC, datetime
from typing import Any

import inngest as sdk
import pytest

from inngest_py.testing import Inngest, InngestTestError
from inngest_py.testing.errors import NotCompleted, NotServed, StillWaits

from .shop import Shop


def test_a_run_goes_on_until_its_result(inngest: Inngest, shop: Shop) -> None:
    run = inngest.run(shop.order, "shop/order.placed", data={"order": "A-1"})
    assert (run.status, run.result) == ("completed", {"order": "A-1", "charge": "charge"})
    assert shop.done == ["reserve", "charge"]
    assert list(run.steps) == ["reserve", "charge", "tell"]
    assert (run.steps["charge"].output, run.steps["charge"].attempts) == ("charge", 1)
    assert run.error is None and run.steps["charge"].error is None


@pytest.mark.parametrize(
    "event",
    [
        {"name": "shop/order.placed", "data": {"order": "A-1"}},
        sdk.Event(name="shop/order.placed", data={"order": "A-1"}),
    ],
)
def test_events_may_be_whole(inngest: Inngest, shop: Shop, event: Any) -> None:
    assert inngest.run("order", event).result["order"] == "A-1"  # type: ignore[index]
    [started] = [run for run in inngest.send(event).runs if run.function == "shop-order"]
    assert started.wait().result["order"] == "A-1"  # type: ignore[index]


def test_only_the_named_function_runs_but_an_event_starts_all(inngest: Inngest, shop: Shop) -> None:
    inngest.run(shop.order, data={"order": "A-1"})
    assert inngest.runs(shop.audit) == []
    sent = inngest.send("shop/order.placed", data={"order": "A-2"})
    assert sorted(run.function for run in sent.runs) == ["shop-audit", "shop-order"]
    assert [run.result for run in inngest.runs(shop.audit)] == ["audited"]
    assert len(inngest.runs()) == 3


def test_events_of_the_app_and_of_the_server_are_seen(inngest: Inngest, shop: Shop) -> None:
    inngest.run(shop.order, data={"order": "A-1"})
    names = [event.name for event in inngest.events]
    assert names == ["shop/order.placed", "shop/order.paid", "inngest/function.finished"]
    [paid] = inngest.events.named("shop/order.paid")
    assert (paid.data, paid.is_own) == ({"by": "charge"}, False)
    assert inngest.events[-1].is_own


def test_events_that_the_app_sends_elsewhere_start_runs(
    inngest: Inngest, shop: Shop, inngest_app: Any
) -> None:
    [event_id] = inngest_app.test_client().post("/orders").json
    [run] = inngest.runs(shop.order)
    assert run.result == {"order": "by HTTP", "charge": "charge"}
    assert event_id == inngest.events[0].id


def test_a_failing_step_is_tried_again_without_waiting(inngest: Inngest, shop: Shop) -> None:
    shop.fails = 2
    began = inngest.clock.now
    run = inngest.run(shop.order)
    assert run.result == {"order": None, "charge": "charge"}
    reserve = run.steps["reserve"]
    assert (reserve.attempts, reserve.failed, str(reserve.error)) == (
        3,
        False,
        "RuntimeError: no reserve",
    )
    assert inngest.clock.now > began


def test_a_run_fails_with_its_error(inngest: Inngest, shop: Shop) -> None:
    shop.fails = 3
    run = inngest.run(shop.order)
    assert run.status == "failed"
    assert run.error is not None and run.error.message == "no reserve"
    assert run.steps["reserve"].failed and run.steps["reserve"].output is None
    with pytest.raises(NotCompleted, match=r"it failed with .*no reserve"):
        _ = run.result
    assert run.wait() is run


def test_a_retry_that_nobody_has_waited_for_is_told(inngest: Inngest, shop: Shop) -> None:
    shop.fails = 1
    [run] = inngest.send("shop/parts").runs
    with pytest.raises(NotCompleted, match=r"Attempt 2 of 5 .* no bolt Use run.wait\(\)"):
        _ = run.result
    assert run.wait().result == ["bolt", "nut"]


def test_parallel_steps_and_invoked_functions(inngest: Inngest, shop: Shop) -> None:
    assert inngest.run(shop.parts).result == ["bolt", "nut"]
    run = inngest.run(shop.parent)
    assert run.result == {"order": "invoked", "charge": "charge"}
    assert [one.function for one in inngest.runs(shop.order)] == ["shop-order"]


def test_a_retry_of_an_invoked_function_is_not_waited_for(inngest: Inngest, shop: Shop) -> None:
    shop.fails = 1
    assert inngest.run(shop.parent).result == {"order": "invoked", "charge": "charge"}


def test_steps_of_one_id_are_counted_as_the_sdk_counts_them(inngest: Inngest, shop: Shop) -> None:
    run = inngest.run(shop.repeat)
    assert list(run.steps) == ["again", "again:1", "again:2"]
    assert run.steps["again:2"].output == "again 2"


def test_a_cron_function_runs_on_demand_and_on_time(inngest: Inngest, shop: Shop) -> None:
    assert inngest.run(shop.nightly).result == "nightly"
    inngest.clock.advance(days=2)
    assert [run.result for run in inngest.runs(shop.nightly)] == ["nightly"] * 3


def test_what_a_run_waits_for_is_said(inngest: Inngest, shop: Shop) -> None:
    run = inngest.run(shop.remind)
    with pytest.raises(StillWaits) as raised:
        run.wait()
    assert "Sleeps in step 'rest before the first' until" in str(raised.value)
    assert "inngest.clock.advance(days=1)" in str(raised.value)
    with pytest.raises(NotCompleted, match="no result yet"):
        _ = run.result
    inngest.clock.advance(days=3)
    with pytest.raises(StillWaits, match=r"inngest.send\('shop/cart.paid', data="):
        run.wait()
    inngest.send("shop/cart.paid")
    assert run.result == "paid"


def test_time_may_be_skipped_until_the_end(inngest: Inngest, shop: Shop) -> None:
    run = inngest.run(shop.remind).wait(skip_time=True)
    assert run.result == "lost"
    assert [one for one in shop.done if one != "nightly"] == ["first", "second", "third"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("ordr", "no app of this test serves a function 'ordr'; what is served: shop-audit"),
        (None, "name a function by its id"),
    ],
)
def test_unknown_functions_are_named(inngest: Inngest, name: object, told: str) -> None:
    with pytest.raises(NotServed, match=told):
        inngest.run(name)


def test_unknown_steps_are_named(inngest: Inngest, shop: Shop) -> None:
    run = inngest.run(shop.parts)
    with pytest.raises(InngestTestError, match="'pack'; it has met: 'bolt', 'nut'"):
        _ = run.steps["pack"]
    assert "pack" not in run.steps and "bolt" in run.steps


@pytest.mark.parametrize(
    ("event", "data", "told"),
    [
        ("inngest/mine", None, "reserved"),
        ("", None, "name is empty"),
        (7, None, "an event is a name, a dict or an inngest.Event, not int"),
        ({"name": "a"}, {}, "give `data` beside the name"),
        ("a", {"x": object()}, "not JSON serializable"),
        ("a", {"x": datetime.now(UTC)}, "datetime is not JSON serializable"),
        ("a", {"x": float("nan")}, "not JSON compliant"),
        ({"name": "a", "data": 7}, None, "event data must be an object"),
    ],
)
def test_bad_events_are_refused(inngest: Inngest, event: Any, data: Any, told: str) -> None:
    with pytest.raises(InngestTestError, match=told):
        inngest.send(event, data=data)
    assert inngest.events == []
