"""Several servers in one process, and several threads with one server."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import inngest as sdk
import pytest

from inngest_py.testing import Inngest, InngestTestError

from .async_shop import AsyncShop, fastapi_shop
from .shop import Shop, flask_shop


def _names(inngest: Inngest) -> list[str]:
    return [event.name for event in inngest.events if not event.is_own]


def test_each_server_gets_what_its_own_app_sends() -> None:
    one, two, three = Shop("one"), Shop("two"), AsyncShop()
    apps = flask_shop(one), (two.client, two.functions), fastapi_shop(three)
    with Inngest(apps[0]) as first, Inngest(apps[1]) as second, Inngest(apps[2]) as third:
        assert first.run(one.order).status == "completed"
        assert third.run(three.order).wait(skip_time=True).status == "completed"
        assert _names(first) == ["shop/order.placed", "shop/order.paid"]
        assert _names(second) == []
        apps[0].test_client().post("/orders")  # outside of a call: the client says whose it is
        two.client.send_sync(sdk.Event(name="shop/parts"))
        assert _names(first)[2:] == ["shop/order.placed", "shop/order.paid"]
        assert _names(second) == ["shop/parts"]
        assert _names(third) == ["shop/order.placed", "shop/order.packed", "shop/order.sent"]


def test_servers_may_be_stopped_in_any_order() -> None:
    before, shops = httpx.Client.send, [Shop("one"), Shop("two")]
    servers = [Inngest(flask_shop(shop)).__enter__() for shop in shops]
    servers[0].close()
    assert servers[1].run(shops[1].order).status == "completed"
    assert _names(servers[1]) == ["shop/order.placed", "shop/order.paid"]
    servers[1].close()
    assert httpx.Client.send is before


def test_what_nobody_can_know_is_refused() -> None:
    shop, other = Shop(), sdk.Inngest(app_id="other", is_production=False)
    event = sdk.Event(name="shop/parts")
    with Inngest(flask_shop(shop)) as first, Inngest(flask_shop(shop)) as second:
        assert first.run(shop.order).status == second.run(shop.order).status == "completed"
        assert _names(first) == _names(second) == ["shop/order.placed", "shop/order.paid"]
        with pytest.raises(InngestTestError, match=r"2 servers .* all of them serve an app of"):
            shop.client.send_sync(event)
        with pytest.raises(InngestTestError, match=r"2 servers .* none of them serves an app of"):
            other.send_sync(event)
    with Inngest(flask_shop(shop)) as alone:
        other.send_sync(event)
        assert _names(alone) == ["shop/parts"]


def test_threads_wait_for_each_other(inngest: Inngest, shop: Shop) -> None:
    began = inngest.clock.now
    with ThreadPoolExecutor(4) as pool:
        moved = pool.map(lambda _: inngest.clock.advance(hours=1), range(8))
        runs = pool.map(lambda _: inngest.run(shop.parts), range(8))
        assert [run.result for run in runs] == [["bolt", "nut"]] * 8
        assert max(moved) == began + timedelta(hours=8)
    inngest.fail_next_call(times=2)
    with ThreadPoolExecutor(4) as pool:
        runs = pool.map(lambda _: inngest.run(shop.order).status, range(4))
        assert list(runs) == ["completed"] * 4


def test_a_thread_that_works_too_long_is_told(
    inngest: Inngest, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inngest_py.testing.engine.LONGEST_WAIT", timedelta(milliseconds=10))
    with inngest._engine.driving(), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(inngest.run, shop.order)
        assert "another thread has been working" in str(waiting.exception())


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_function_that_runs_cannot_move_the_clock_or_run_another(asynchronous: bool) -> None:
    client, told = sdk.Inngest(app_id="mover", is_production=False), []

    def ask() -> None:
        for act in (lambda: inngest.clock.advance(days=1), lambda: inngest.run("move")):
            try:
                act()
            except InngestTestError as error:
                told.append(str(error))
        assert len(inngest.runs()) == 1

    def move(ctx: sdk.ContextSync) -> None:
        ctx.step.run("ask", ask)

    async def asynchronously(ctx: Any) -> None:
        """Let the SDK run blocking functions in threads of its own."""

    make = client.create_function
    functions: list[Any] = [make(fn_id="move", trigger=sdk.TriggerEvent(event="move"))(move)]
    if asynchronous:
        trigger = sdk.TriggerEvent(event="other")
        functions.append(make(fn_id="other", trigger=trigger)(asynchronously))
    with Inngest((client, functions)) as inngest:
        assert inngest.run("move").status == "completed"
    assert "the clock cannot be moved from within a function that runs" in told[0]
    assert "a function that runs cannot run another one" in told[1]
