"""Celery tasks while a virtual clock is moved over days."""

from datetime import timedelta

from celery import chain, group

from inngest_py.engine.clock.moves import move
from inngest_py.engine.clock.virtual import VirtualClock
from inngest_py.storage.db.session import Database
from tests.engine.shop import Shop, add, total
from tests.factories import NOW

DAY = timedelta(days=1)


def test_countdowns_end_at_their_own_time_and_a_move_waits_for_answers(db: Database) -> None:
    shop, clock = Shop(db), VirtualClock(NOW, lambda: NOW, is_frozen=True)
    shop.ctx.clock, sent = clock.now, []

    def settle() -> None:
        """Work off what is due; workers answer, however long they take."""
        shop.now = clock.now()
        shop.advance()
        while messages := shop.take():
            sent.extend((clock.now() - NOW, message.args) for message in messages)
            shop.answer(*messages)

    shop.now = NOW
    later = chain(
        add.s(1, 2).set(countdown=2 * 86_400),
        group(add.s(3).set(countdown=86_400), add.s(4).set(countdown=3600)),
        total.s(),
    )
    run_id = shop.send(later)
    move(shop.ctx, clock, NOW + 5 * DAY, settle)
    hour = timedelta(hours=1)
    assert sent == [
        (2 * DAY, [1, 2]),
        (2 * DAY + hour, [3, 4]),
        (3 * DAY, [3, 3]),
        (3 * DAY, [[6, 7]]),
    ]
    run = shop.run(run_id)
    assert (run["status"], run["ended_at"], run["output"]) == ("completed", NOW + 3 * DAY, "13")
    assert clock.now() == NOW + 5 * DAY
