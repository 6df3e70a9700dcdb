"""How hints pass through Celery: what is published, what is taken, and Celery's own events."""

import threading
from typing import Any

import pytest
from celery import Celery
from celery.worker import state
from kombu import Connection
from kombu.transport import TRANSPORT_ALIASES
from kombu.utils.imports import symbol_by_name

from inngest_py.config_reading import load
from inngest_py.domain.runs.items import ItemKind
from inngest_py.tasks.app import create_celery
from inngest_py.tasks.kombu import redis
from inngest_py.tasks.kombu.gathering import GatherEvents
from inngest_py.tasks.kombu.intake import Intake
from inngest_py.tasks.kombu.publishing import Publisher, describe_arguments, task_name
from tests.servers import Valkey

IDS = ["01KDYAK3485ZADZKHGVA0AS87V"]


@pytest.fixture
def app() -> Celery:
    """A Celery app with its own broker, in the process."""
    app = create_celery(load({"database_url": "sqlite://"}, {}))
    with app.connection_for_write() as connection:
        connection.default_channel._purge("start")
    return app


def taken(app: Celery) -> Any:
    with app.connection_for_read() as connection:
        message = connection.SimpleQueue("start").get(timeout=5)
        message.ack()
        return message


def test_a_hint_is_the_message_that_celery_sends(app: Celery) -> None:
    Publisher(app)(ItemKind.START, IDS)
    ours = taken(app)
    about = {
        "argsrepr": describe_arguments(ItemKind.START, IDS),
        "kwargsrepr": "",
        "ignore_result": True,
    }
    app.send_task(task_name(ItemKind.START), args=[IDS], **about)
    theirs = taken(app)
    assert ours.payload == theirs.payload
    own = ("id", "root_id")
    assert {k: v for k, v in ours.headers.items() if k not in own} == {
        k: v for k, v in theirs.headers.items() if k not in own
    }
    assert ours.delivery_info == theirs.delivery_info
    assert ours.properties["delivery_mode"] == 1, "rows outlive the broker, hints need not"


def test_a_queue_is_declared_once(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    declared: list[Any] = []
    publisher = Publisher(app)
    with app.producer_pool.acquire(block=True) as producer:
        kind = type(producer)
    inner = kind.maybe_declare
    monkeypatch.setattr(
        kind, "maybe_declare", lambda *a, **k: declared.append(a[1].name) or inner(*a, **k)
    )
    for _ in range(3):
        publisher(ItemKind.START, IDS)
        taken(app)
    assert declared == ["start"]


def test_a_channel_of_redis_keeps_its_client(valkey: Valkey) -> None:
    redis.register()
    assert symbol_by_name(TRANSPORT_ALIASES["redis"]) is redis.Transport
    with Connection(valkey.url, transport=redis.Transport) as connection:
        channel = connection.default_channel
        assert isinstance(channel, redis.Channel)
        queue = connection.SimpleQueue("kept")
        for number in range(3):
            queue.put(number)
            assert queue.get(timeout=5).payload == number
        assert channel._create_client() is channel._create_client()
        assert channel._create_client(asynchronous=True) is not channel._create_client()


class Pool:
    """A worker's pool that only remembers the messages that it gets."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    def on_apply(self, message: str) -> None:
        self.taken.append(message)


def test_the_next_message_is_taken_when_all_earlier_hints_have_slots() -> None:
    intake, pool = Intake(), Pool()
    intake.hold_up(pool)
    pool.on_apply("first")
    intake.read(3)
    reader = threading.Thread(target=pool.on_apply, args=("second",))
    reader.start()
    intake.placed(1)
    assert pool.taken == ["first"]
    intake.placed(2)
    reader.join(timeout=10)
    assert pool.taken == ["first", "second"]


def test_a_stopping_worker_does_not_wait_for_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    intake, pool = Intake(), Pool()
    intake.hold_up(pool)
    intake.read(1)
    monkeypatch.setattr(state, "should_stop", 0)
    pool.on_apply("last")
    assert pool.taken == ["last"]


class Consumer:
    """The parts of a worker's consumer that GatherEvents needs."""

    hub = None

    def __init__(self, dispatcher: Any) -> None:
        self.event_dispatcher, self.timer = dispatcher, self
        self.calls: list[Any] = []

    def call_after(self, seconds: float, call: Any) -> None:
        self.calls.append(call)


def test_events_of_tasks_are_sent_together(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[Any, str]] = []
    with app.connection_for_write() as connection:
        dispatcher = app.events.Dispatcher(connection)
        monkeypatch.setattr(dispatcher, "_publish", lambda event, _, key: sent.append((event, key)))
        consumer = Consumer(dispatcher)
        GatherEvents(consumer).start(consumer)
        for number in range(3):
            dispatcher.send("task-started", uuid=str(number))
        assert sent == []
        assert len(consumer.calls) == 1, "one flush for all"
        consumer.calls[0]()
        [(events, key)] = sent
        assert ([event["uuid"] for event in events], key) == (["0", "1", "2"], "task.multi")
        dispatcher.send("task-started", uuid="3")
        assert len(consumer.calls) == 2
