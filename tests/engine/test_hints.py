"""Hints leave in batches and never make their sender wait."""

import threading

from inngest_py.domain.items import ItemKind
from inngest_py.engine.hints import Hinter
from tests.processes import wait_until


def test_hints_pile_up_while_a_publish_is_under_way() -> None:
    sent: list[list[str]] = []
    go = threading.Event()

    def publish(kind: ItemKind, ids: list[str]) -> None:
        sent.append(ids)
        go.wait(10)

    hinter = Hinter(publish, most=3)
    hinter.send([(ItemKind.EDGE, "first")])
    wait_until(lambda: sent)
    hinter.send([(ItemKind.EDGE, str(n)) for n in range(5)])
    go.set()
    wait_until(lambda: len(sent) == 3)
    assert sent == [["first"], ["0", "1", "2"], ["3", "4"]]
    hinter.stop()


def test_a_broker_that_is_away_costs_the_sender_nothing_and_comes_back() -> None:
    away, sent = threading.Event(), []
    away.set()

    def publish(kind: ItemKind, ids: list[str]) -> None:
        if away.is_set():
            raise ConnectionError("no broker")
        sent.extend(ids)

    hinter = Hinter(publish)
    hinter.send([(ItemKind.START, "lost")])
    wait_until(lambda: hinter.away)
    away.clear()

    def arrives() -> bool:
        hinter.send([(ItemKind.START, "later")])
        return bool(sent)

    wait_until(arrives)
    assert not hinter.away
    hinter.stop()
