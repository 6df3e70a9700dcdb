"""Hints leave in batches and never make their sender wait."""

import threading
import time

from inngest_py.domain.runs.items import ItemKind
from inngest_py.engine.runtime.broker import Broker
from inngest_py.engine.runtime.hints import Hinter
from tests.processes import wait_until


class Wire:
    """What a broker takes, and how it is reached."""

    def __init__(self, *, away: bool = False) -> None:
        self.away, self.hangs = away, threading.Event()
        self.sent: list[str] = []
        self.tries = 0
        self.broker = Broker(self.reach, patience=0.2)

    def reach(self) -> None:
        self.tries += 1
        if self.away:
            self.hangs.wait(20)
            raise ConnectionError("no broker")

    def publish(self, kind: ItemKind, ids: list[str]) -> None:
        if self.away:
            raise ConnectionError("no broker")
        self.sent.extend(ids)


def test_hints_pile_up_while_a_publish_is_under_way() -> None:
    sent: list[list[str]] = []
    go = threading.Event()

    def publish(kind: ItemKind, ids: list[str]) -> None:
        sent.append(ids)
        go.wait(10)

    hinter = Hinter(publish, Wire().broker, most=3)
    hinter.send([(ItemKind.EDGE, "first")])
    wait_until(lambda: sent)
    hinter.send([(ItemKind.EDGE, str(n)) for n in range(5)])
    go.set()
    wait_until(lambda: len(sent) == 3)
    assert sent == [["first"], ["0", "1", "2"], ["3", "4"]]
    hinter.stop()


def test_a_broker_that_is_away_costs_the_sender_nothing_and_comes_back() -> None:
    wire = Wire(away=True)
    wire.hangs.set()
    hinter, instead = Hinter(wire.publish, wire.broker), list[str]()
    hinter.instead = lambda _kind, ids: instead.extend(ids)
    hinter.send([(ItemKind.START, "failed")])
    wait_until(lambda: instead == ["failed"])
    hinter.send([(ItemKind.START, "here")])
    wait_until(lambda: instead == ["failed", "here"])
    assert not hinter.reachable()
    wire.away = False
    wait_until(lambda: not wire.broker.away)
    hinter.send([(ItemKind.START, "later")])
    wait_until(lambda: wire.sent == ["later"])
    assert instead == ["failed", "here"]
    wait_until(hinter.reachable)
    hinter.stop()


def test_a_broker_that_does_not_answer_is_away_before_long() -> None:
    wire = Wire(away=True)
    began = time.monotonic()
    answers = [wire.broker.reachable() for _ in range(3)]
    assert answers == [False, False, False]
    assert time.monotonic() - began < 10, "one time-out for all"
    assert wire.tries == 1
    wire.hangs.set()


def test_earlier_check_shortens_the_wait() -> None:
    wire = Wire(away=True)
    began = time.monotonic()
    wire.broker.ask()
    wait_until(lambda: time.monotonic() - began > 1.5)
    asked = time.monotonic()
    assert not wire.broker.reachable()
    assert time.monotonic() - asked < 1.0, "its time is over: nothing is left to wait for"
    wire.hangs.set()


def test_an_answer_is_kept_for_a_moment() -> None:
    wire = Wire()
    assert [wire.broker.reachable() for _ in range(20)] == [True] * 20
    assert wire.tries < 20
    wire.away = True
    wire.hangs.set()
    wait_until(lambda: not wire.broker.reachable(), 10, "the answer to be asked for again")
    wait_until(lambda: wire.broker.away, 10, "hints to take another way")


def test_broker_that_takes_messages_but_never_answers_is_away() -> None:
    wire, instead, go = Wire(away=True), list[str](), threading.Event()

    def publish(_kind: ItemKind, ids: list[str]) -> None:
        wire.sent.extend(ids)
        go.wait(20)

    hinter = Hinter(publish, wire.broker)
    hinter.instead = lambda _kind, ids: instead.extend(ids)
    hinter.send([(ItemKind.START, "swallowed")])
    wait_until(lambda: wire.broker.away)
    hinter.send([(ItemKind.START, "here")])
    wait_until(lambda: instead == ["here"])
    assert wire.sent == ["swallowed"], "the publish hangs still"
    go.set()
    wire.away = False
    wire.hangs.set()
    wait_until(lambda: not wire.broker.away)
    hinter.stop()
