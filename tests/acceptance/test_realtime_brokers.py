"""Realtime messages among processes, by each broker: once, in order, after an outage, too."""

import time
from collections.abc import Iterator

import pytest

from inngest_py.config_reading import load
from inngest_py.domain.realtime.messages import Delivery
from inngest_py.domain.realtime.topics import Topic
from inngest_py.engine.realtime.hub import Hub
from inngest_py.tasks.app import create_celery
from inngest_py.tasks.kombu.realtime_wire import BrokerWire, followed_reader
from tests.engine.test_realtime_wire import RUN, TOPIC, Subscriber
from tests.processes import wait_until
from tests.rabbit import SERVER, Rabbit
from tests.servers import Valkey

Broker = Valkey | Rabbit


@pytest.fixture(
    params=[
        Valkey,
        pytest.param(
            Rabbit, marks=pytest.mark.skipif(not SERVER.exists(), reason="no RabbitMQ here")
        ),
    ]
)
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    made: Broker = request.param()
    try:
        yield made.start()
    finally:
        made.close()


def process(broker: Broker) -> Hub:
    """A hub as one process has it."""
    app = create_celery(load({"database_url": "sqlite://", "broker_url": broker.url}, {}))
    hub = Hub()
    hub.wire = BrokerWire(app, app.broker, hub)
    followed_reader(app, hub.followed).start()
    return hub


def test_messages_and_followed_runs(broker: Broker) -> None:
    hubs = [process(broker), process(broker)]
    subscribers = [Subscriber(), Subscriber()]
    for hub, subscriber in zip(hubs, subscribers, strict=True):
        hub.subscribe(subscriber, [TOPIC])
    for number in range(40):
        hubs[number % 2 if number < 20 else 0].publish(Delivery((TOPIC,), str(number)))
    hubs[0].publish_soon(Delivery((TOPIC,), b"\xff"))
    for subscriber in subscribers:
        wait_until(lambda got=subscriber.got: len(got) == 41, 10, "all messages")  # type: ignore[misc]
        assert sorted(map(str, subscriber.got)) == sorted([*map(str, range(40)), str(b"\xff")])
        assert subscriber.got[20:] == [*map(str, range(20, 40)), b"\xff"]
    hubs[1].subscribe(subscribers[1], [Topic(RUN, "$step")])
    wait_until(lambda: hubs[0].followed.includes(RUN), 10, "the other process knows the run")
    _outage(broker, hubs, subscribers)


def _outage(broker: Broker, hubs: list[Hub], subscribers: list[Subscriber]) -> None:
    for subscriber in subscribers:
        subscriber.got.clear()
    broker.freeze() if isinstance(broker, Valkey) else broker.kill()
    began = time.monotonic()
    sent = 0
    while len(subscribers[0].got) < 5:
        assert time.monotonic() < began + 30
        at = time.monotonic()
        hubs[0].publish(Delivery((TOPIC,), str(sent)))
        assert time.monotonic() - at < 4
        sent += 1
    broker.thaw() if isinstance(broker, Valkey) else broker.start()

    def arrives() -> bool:
        nonlocal sent
        hubs[0].publish(Delivery((TOPIC,), str(sent)))
        sent += 1
        return len(subscribers[1].got) > 5

    wait_until(arrives, 40, "messages reach the other process again")
    for subscriber in subscribers:
        wait_until(
            lambda got=subscriber.got: got[-1] == str(sent - 1),  # type: ignore[misc]
            10,
            "the last message",
        )
        assert len(subscriber.got) == len(set(subscriber.got))
