"""Calls to connected workers that are given up, and the answers that come nevertheless."""

import queue
import threading
from datetime import timedelta

import pytest

from inngest_py.domain.connect.calls import Request
from inngest_py.engine.connect import answers
from inngest_py.engine.runtime.app_fairness import Fairness
from inngest_py.engine.runtime.connections import Connected
from inngest_py.engine.work import run_item
from inngest_py.storage.db.session import Database
from tests.engine.harness import Engine, sequence
from tests.engine.test_shares import connect
from tests.factories import reply


class Begun:
    """An engine with a run whose worker has got the request of its only call."""

    def __init__(self, db: Database) -> None:
        self.engine = engine = Engine(db, sequence())
        self.connections = engine.ctx.connections
        app_id = connect(engine)
        self.sent: queue.Queue[Request] = queue.Queue()
        self.worker = Connected(
            id="worker",
            groups={app_id: "group"},
            capacity=10,
            send=self.sent.put,
            acknowledge=lambda request_id: None,
            hold=lambda held: None,
            heard=engine.ctx.now,
        )
        self.connections.add(self.worker)
        self.connections.open(self.worker)
        engine.ctx.fairness = Fairness(4)
        engine.ctx.fairness.capacity = self.connections.capacity
        self.run_id = engine.start(name="a/there")
        items = [item_id for _, item_id in engine.hinted.hints]
        engine.hinted.hints = []
        self.call = threading.Thread(target=run_item.work, args=(engine.ctx, items))
        self.call.start()
        self.request = self.sent.get(timeout=30)

    def answer(self) -> bool:
        """Let the answer come by a flush; say whether the worker may forget it at once."""
        return answers.take(self.engine.ctx, self.request.id, reply(200, "late"), None)

    def ended(self) -> tuple[str, str | None]:
        """Wait for the call's end and for all that follows; return the run's status and output."""
        self.call.join(30)
        assert not self.call.is_alive()
        self.engine.drain()
        run = self.engine.run(self.run_id)
        return run["status"], run["output"]


@pytest.fixture
def begun(db: Database) -> Begun:
    return Begun(db)


@pytest.mark.parametrize("is_noticed", [True, False])
def test_the_answer_of_a_lost_worker_is_stored(begun: Begun, is_noticed: bool) -> None:
    """Also if the call has not yet noticed that it was given up."""
    begun.connections.give_up(begun.request.id, begun=False)
    begun.connections.remove(begun.worker, timedelta(0))
    if is_noticed:
        begun.call.join(30)
        assert begun.engine.hinted.hints, "the item is free for another worker"
    assert begun.answer()
    assert begun.ended() == ("completed", '"late"')
    assert begun.sent.empty()


def test_an_answer_after_a_failed_attempt_is_stored_until_the_next_one_begins(
    begun: Begun,
) -> None:
    """The worker had begun, and was silent for too long."""
    begun.connections.give_up(begun.request.id, begun=True)
    begun.call.join(30)
    assert begun.engine.run(begun.run_id)["status"] == "running"
    assert begun.answer()
    assert begun.ended() == ("completed", '"late"')
    begun.engine.advance(hours=1)  # the retry
    assert begun.sent.empty()


def test_the_answer_to_an_earlier_attempt_is_dropped(begun: Begun) -> None:
    begun.connections.give_up(begun.request.id, begun=True)
    begun.call.join(30)
    begun.call = threading.Thread(target=begun.engine.advance, kwargs={"hours": 1})
    begun.call.start()
    second = begun.sent.get(timeout=30)
    assert begun.answer()
    assert begun.engine.run(begun.run_id)["status"] == "running"
    assert begun.connections.answer(second.id, reply(200, "second"), begun.worker)
    assert begun.ended() == ("completed", '"second"')
