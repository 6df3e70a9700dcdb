"""How hints pass through Celery: what is published, what is taken, and Celery's own events."""

import threading
from typing import Any

import gevent.pool
import pytest
from celery import Celery
from celery.exceptions import WorkerShutdown
from celery.worker import state
from kombu import Connection, pools
from kombu.transport import redis as kombus

from inngest_py.config_reading import load
from inngest_py.domain.runs.items import ItemKind
from inngest_py.tasks.app import create_celery
from inngest_py.tasks.kombu import redis
from inngest_py.tasks.kombu.gathering import GatherEvents
from inngest_py.tasks.kombu.intake import Intake
from inngest_py.tasks.kombu.publishing import (
    PlainPublisher,
    Publisher,
    describe_arguments,
    task_name,
)
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
    Publisher(app, on_redis=False)(ItemKind.START, IDS)
    ours = taken(app)
    PlainPublisher(app)(ItemKind.START, IDS)
    theirs = taken(app)
    assert ours.headers["argsrepr"] == describe_arguments(ItemKind.START, IDS)
    assert ours.headers["task"] == task_name(ItemKind.START)
    assert ours.payload == theirs.payload
    own = ("id", "root_id")
    assert {k: v for k, v in ours.headers.items() if k not in own} == {
        k: v for k, v in theirs.headers.items() if k not in own
    }
    assert ours.delivery_info == theirs.delivery_info
    for message in (ours, theirs):
        assert message.properties["delivery_mode"] == 1, "rows outlive the broker, hints need not"


def test_a_queue_is_declared_once(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    declared: list[Any] = []
    publisher = Publisher(app, on_redis=False)
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
    """Neither kombu's own classes nor other channels are changed."""
    make = kombus.Channel._create_client
    with Connection(valkey.url) as connection, Connection(valkey.url) as other:
        channel = connection.default_channel
        redis.keep_client(channel)
        redis.keep_client(channel)
        queue = connection.SimpleQueue("kept")
        for number in range(3):
            queue.put(number)
            assert queue.get(timeout=5).payload == number
        kept = channel._create_client()
        assert channel._create_client() is kept
        assert channel._create_client(asynchronous=True) is not kept
        channel._disconnect_pools()
        assert channel._create_client().connection_pool is channel.pool, "a client of the new pool"
        unchanged = other.default_channel
        assert unchanged._create_client() is not unchanged._create_client()
    assert kombus.Channel._create_client is make


def test_hints_are_published_by_kept_clients_of_redis(valkey: Valkey) -> None:
    for switch in (True, False):
        settings = {
            "database_url": "sqlite://",
            "broker_url": valkey.url,
            "celery_patches": switch,
        }
        app = create_celery(load(settings, {}))
        pools.reset()  # apps with the same URL share connections
        app.hinter._publish(ItemKind.START, IDS)
        assert taken(app).payload[0] == [IDS]
        with app.producer_pool.acquire(block=True) as producer:
            assert ("_create_client" in vars(producer.channel)) is switch


class Pool:
    """A worker's pool that only remembers the messages that it gets; gevent's is in `_pool`."""

    def __init__(self, *, size: int | None = None) -> None:
        self.taken: list[str] = []
        self._pool = gevent.pool.Pool(size)

    def on_apply(self, message: str) -> None:
        self.taken.append(message)


def test_the_next_message_is_taken_when_all_earlier_hints_have_slots() -> None:
    intake, pool = Intake(), Pool()
    intake.wait_before_reads(pool, for_slots=True)
    pool.on_apply("first")
    intake.add_waiting(3)
    reader = threading.Thread(target=pool.on_apply, args=("second",))
    reader.start()
    intake.remove_waiting(1)
    assert pool.taken == ["first"]
    intake.remove_waiting(2)
    reader.join(timeout=10)
    assert pool.taken == ["first", "second"]


@pytest.mark.parametrize("for_slots", [True, False])
def test_a_worker_that_waits_to_read_sees_a_stop(
    for_slots: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake, pool = Intake(), Pool(size=None if for_slots else 0)
    intake.wait_before_reads(pool, for_slots=for_slots)
    intake.add_waiting(1)
    monkeypatch.setattr(state, "should_stop", 0)
    with pytest.raises(WorkerShutdown):
        pool.on_apply("last")
    assert pool.taken == []


def test_without_patches_hints_may_wait_for_slots() -> None:
    intake, pool = Intake(), Pool()
    intake.wait_before_reads(pool, for_slots=False)
    intake.add_waiting(1)
    pool.on_apply("next")
    assert pool.taken == ["next"]


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
