"""Apps that use inngest_py.sdk: checkpoints, and steps that the SDK lacks."""

from pathlib import Path
from typing import Any

import inngest as sdk
import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from inngest_py.sdk import checkpointing, outbox, steps
from inngest_py.testing import Inngest, InngestTestError
from tests.processes import wait_until

from .async_shop import AsyncShop, fastapi_shop
from .shop import DAY, Shop


@pytest.fixture
def shop() -> Shop:
    return Shop(middleware=[checkpointing()])


def test_an_app_that_checkpoints(inngest: Inngest, shop: Shop) -> None:
    assert inngest.run(shop.order).result == {"order": None, "charge": "charge"}
    inngest.mock_step(shop.order, "charge", returns="mocked")
    assert inngest.run(shop.order).result == {"order": None, "charge": "mocked"}


def test_an_asyncio_app_that_checkpoints() -> None:
    shop = AsyncShop(middleware=[checkpointing(buffered_steps=10)])
    with Inngest(fastapi_shop(shop)) as inngest:
        run = inngest.run(shop.order).wait(skip_time=True)
        assert run.result == ["reserve", "pack", "label"]


@pytest.mark.parametrize(
    ("when", "times"), [("before commit", 2), ("after commit", 1), ("answer lost", 2)]
)
def test_a_crash_at_a_checkpoint(inngest: Inngest, shop: Shop, when: str, times: int) -> None:
    inngest.crash_after_step(shop.order, "charge", when=when)
    run = inngest.run(shop.order)
    assert run.result == {"order": None, "charge": "charge"}
    assert (shop.done.count("reserve"), shop.done.count("charge")) == (1, times)


def test_an_outbox_sends_to_the_server_of_the_test(
    inngest: Inngest, shop: Shop, tmp_path: Path
) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    outbox.create_table(engine)
    with Session(engine) as session, session.begin():
        outbox.send(session, sdk.Event(name="shop/parts"))
    with outbox.Relay(engine, shop.client) as relay:
        wait_until(lambda: relay.sent == 1, 20, "the event was sent")
    assert [run.result for run in inngest.runs(shop.parts)] == [["bolt", "nut"]]
    engine.dispose()


def test_steps_that_the_sdk_lacks() -> None:
    client = sdk.Inngest(app_id="more", is_production=False)

    @client.create_function(fn_id="more", trigger=sdk.TriggerEvent(event="more"))
    def more(ctx: sdk.ContextSync) -> Any:
        steps.sleep(ctx, "rest", "3 days")
        answered = steps.wait_for_signal(ctx, "asked", signal="answer", timeout=DAY)
        return None if answered is None else answered.data

    with Inngest((client, [more])) as inngest:
        run = inngest.run(more)
        with pytest.raises(InngestTestError, match="no run waits for the signal 'answer'"):
            inngest.signal("answer")
        inngest.clock.advance(days=3)
        with pytest.raises(InngestTestError, match=r"inngest.signal\('answer'\)"):
            run.wait()
        assert inngest.signal("answer", 42).id == run.id
        assert run.result == 42
