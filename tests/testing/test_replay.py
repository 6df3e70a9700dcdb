"""`inngest.check_replay`: which steps of a run new code would move."""

from typing import Any

import inngest as sdk
import pytest

from inngest_py.testing import Inngest

from .shop import DAY, Shop, flask_shop


def test_code_that_has_not_changed_moves_nothing(inngest: Inngest, shop: Shop) -> None:
    inngest.mock_step(shop.remind, "rest before the second", returns=None)
    runs = [inngest.run(shop.order), inngest.run(shop.remind), inngest.run(shop.parts)]
    inngest.clock.advance(days=1)
    inngest.fail_next_call(status=503)
    done = list(shop.done)
    assert [inngest.check_replay(run) for run in runs] == [[], [], []]
    assert shop.done == done
    assert runs[1].status == "running"
    inngest.clock.advance(days=9)
    assert inngest.check_replay(runs[1].wait()) == []


@pytest.mark.parametrize("mode", [{}, {"is_production": True, "signing_key": "signkey-prod-12"}])
def test_new_code_is_asked_and_not_registered(
    inngest: Inngest, shop: Shop, mode: dict[str, Any]
) -> None:
    run = inngest.run(shop.remind)

    def remind(ctx: sdk.ContextSync) -> None:
        ctx.step.run("first", lambda: changed.do("first"))
        ctx.step.sleep("rest before the first", DAY)

    changed = Shop(**mode)
    changed.functions[1] = changed._make("remind", remind, "shop/cart.left")
    [found] = inngest.check_replay(run, flask_shop(changed))
    assert found == (
        "'first' is new: the new code asks for it at the beginning, where the run has"
        " 'rest before the first' (not ended yet)"
    )
    assert changed.done == []
    inngest.clock.advance(days=1)
    assert "first" in shop.done
