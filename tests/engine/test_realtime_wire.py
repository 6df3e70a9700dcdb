"""Realtime messages among processes by the database."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from inngest_py.domain.realtime.messages import Delivery
from inngest_py.domain.realtime.topics import STREAM, Topic
from inngest_py.engine.realtime.database_wire import DatabaseWire
from inngest_py.engine.realtime.hub import Hub
from inngest_py.storage.db.session import Database
from inngest_py.storage.operations import realtime
from tests.processes import wait_until

RUN = "01J00000000000000000000000"
TOPIC = Topic("c", "t")


class Subscriber:
    """Keeps what it gets."""

    def __init__(self) -> None:
        self.got: list[str | bytes] = []

    def deliver(self, payload: str | bytes) -> bool:
        self.got.append(payload)
        return True

    def stop(self) -> None:
        pass


@pytest.fixture
def hubs(db: Database) -> Iterator[list[Hub]]:
    """Two processes that share a database."""
    made, wires = [Hub(), Hub()], []
    for number, hub in enumerate(made):
        wire = DatabaseWire(db, hub, str(number), lambda: datetime.now(UTC))
        wire.start()
        wires.append(wire)
        hub.wire = wire
    yield made
    for wire in wires:
        wire.stop()


def test_each_message_comes_once_and_none_from_before(hubs: list[Hub]) -> None:
    first, second = hubs
    first.publish(Delivery((TOPIC,), "before"))
    subscribers = [Subscriber(), Subscriber()]
    for hub, subscriber in zip(hubs, subscribers, strict=True):
        hub.subscribe(subscriber, [TOPIC, Topic("c", STREAM)])
    for number in range(20):
        hubs[number % 2].publish(Delivery((TOPIC,), str(number)))
    second.publish_soon(Delivery((Topic("c", STREAM),), b"\xff"))
    expected = [*map(str, range(20)), b"\xff"]
    for subscriber in subscribers:
        wait_until(lambda got=subscriber.got: len(got) >= 21, 10, "all messages")  # type: ignore[misc]
        assert subscriber.got == expected
    first.leave(subscribers[0])
    second.publish(Delivery((TOPIC,), "after"))
    wait_until(lambda: len(subscribers[1].got) == 22, 10, "the last message")
    assert subscribers[0].got == expected


def test_others_learn_which_runs_are_followed(hubs: list[Hub]) -> None:
    first, second = hubs
    follower = Subscriber()
    second.subscribe(follower, [Topic(RUN, "$run")])
    assert second.followed.includes(RUN)
    wait_until(lambda: first.followed.includes(RUN), 10, "the other process knows")
    assert not first.followed.includes("another")
    second.leave(follower)
    wait_until(lambda: not first.followed.includes(RUN), 10, "the other process knows its end")


def test_rows_are_deleted_after_a_minute(db: Database) -> None:
    now = datetime.now(UTC)
    with db.transaction() as tx:
        realtime.put(tx, realtime.MESSAGES, "[]", now - timedelta(minutes=2))
        realtime.put(tx, realtime.MESSAGES, "[1]", now)
    wire = DatabaseWire(db, Hub(), "one", lambda: now)
    assert not wire.send(Delivery((TOPIC,), "x"), wait=True)  # it reads nothing yet
    with db.reading() as tx:
        bodies = [row["body"] for row in realtime.after(tx, 0, only_followed=False)]
    assert bodies[0] == "[1]"
    assert len(bodies) == 2
