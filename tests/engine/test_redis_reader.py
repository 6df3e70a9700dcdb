"""Reading answers from Redis: many at once, none lost, also with priorities and after a flush."""

import time
from collections.abc import Iterator, Sequence

import pytest
import redis
from celery import Celery
from kombu import Connection, Exchange, Producer, Queue

from inngest_py.tasks.celery_apps import redis_reader as reading
from inngest_py.tasks.celery_apps.deliveries import MOST_TOGETHER, Delivery, Reader
from inngest_py.tasks.celery_apps.redis_reader import redis_reader
from tests.processes import wait_until
from tests.servers import Valkey

NAME = "answers"
QUEUE = Queue(NAME, Exchange(NAME, type="direct"), routing_key=NAME)


@pytest.fixture
def client(valkey: Valkey) -> Iterator[Celery]:
    made = Celery("reader", broker=valkey.url, set_as_current=False, fixups=[])
    yield made
    made.close()


@pytest.fixture
def store(valkey: Valkey) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(valkey.url) as made:
        made.flushdb()
        yield made


def publish(client: Celery, *bodies: object, **options: object) -> None:
    """Send as a worker does: it knows the names of the exchange and the key, and declares none."""
    with Connection(client.conf.broker_url) as connection:
        producer = Producer(connection)
        for body in bodies:
            producer.publish(body, exchange=NAME, routing_key=NAME, serializer="json", **options)


def read_all(reader: Reader, count: int) -> list[Delivery]:
    """Read until there are so many."""
    found: list[Delivery] = []

    def enough() -> bool:
        found.extend(reader.read(0.1))
        return len(found) >= count

    wait_until(enough, 20, f"{count} messages")
    return found


def bodies(deliveries: Sequence[Delivery]) -> list[object]:
    return [one.message.decode() for one in deliveries]


def test_many_messages_are_taken_at_once_and_acknowledged_together(
    client: Celery, store: redis.Redis
) -> None:
    with redis_reader(client, QUEUE) as reader:
        publish(client, *range(MOST_TOGETHER + 1))
        found = read_all(reader, MOST_TOGETHER)
        assert sorted(bodies(found)) == list(range(MOST_TOGETHER))
        for one in found[1:]:
            one.settle()
        rest = read_all(reader, 1)
        assert bodies(rest) == [MOST_TOGETHER]
        lists = store.keys(f"{NAME}.taken.*")
        assert sorted(map(store.llen, lists)) == [1, MOST_TOGETHER]
        found[0].settle()
        rest[0].settle()
    assert store.keys(f"{NAME}*") == []


def test_what_a_lost_reader_had_taken_is_read_by_another(
    client: Celery, store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PUT_BACK_SECONDS", 1.0)
    monkeypatch.setattr(reading, "_EVERY_SECONDS", 0.0)
    with redis_reader(client, QUEUE) as lost, redis_reader(client, QUEUE) as other:
        publish(client, "a", "b")
        assert sorted(bodies(read_all(lost, 2))) == ["a", "b"]
        found = read_all(other, 2)
        assert sorted(bodies(found)) == ["a", "b"]


def test_what_a_reader_has_not_settled_at_its_end_is_read_soon(
    client: Celery, store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_EVERY_SECONDS", 0.0)
    with redis_reader(client, QUEUE) as ending:
        publish(client, "a")
        read_all(ending, 1)
    with redis_reader(client, QUEUE) as other:
        assert bodies(read_all(other, 1)) == ["a"]


def test_message_that_is_awaited_is_in_a_known_list(client: Celery, store: redis.Redis) -> None:
    """A reader that is killed while it waits may have got one already."""
    with redis_reader(client, QUEUE) as reader:
        reader.read(0.1)
        [name] = store.zrange(f"{NAME}.taken", 0, -1)
        publish(client, "a")
        assert bodies(read_all(reader, 1)) == ["a"]
        assert store.llen(name) == 1


def test_messages_with_a_priority_are_read(client: Celery, store: redis.Redis) -> None:
    """Workers give their tasks' priorities to answers with `task_inherit_parent_priority`."""
    with redis_reader(client, QUEUE) as reader:
        publish(client, "low", priority=9)
        publish(client, "high")
        assert sorted(bodies(read_all(reader, 2))) == ["high", "low"]


def test_queue_is_bound_again_after_a_flush(
    client: Celery, store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_EVERY_SECONDS", 0.0)
    with redis_reader(client, QUEUE) as reader:
        store.flushdb()
        reader.read(0.1)
        publish(client, "a")
        assert bodies(read_all(reader, 1)) == ["a"]


def test_strange_message_is_taken_away(client: Celery, store: redis.Redis) -> None:
    with redis_reader(client, QUEUE) as reader:
        store.lpush(NAME, b"not JSON", b"[]")
        publish(client, "a")
        found = read_all(reader, 1)
        assert bodies(found) == ["a"]
        found[0].settle()
    assert store.keys(f"{NAME}.taken.*") == []


def test_global_key_prefix_is_kept(valkey: Valkey, store: redis.Redis) -> None:
    client = Celery("reader", broker=valkey.url, set_as_current=False, fixups=[])
    client.conf.broker_transport_options = {"global_keyprefix": "shop:"}
    with redis_reader(client, QUEUE) as reader:
        options = client.conf.broker_transport_options
        with Connection(valkey.url, transport_options=options) as connection:
            Producer(connection).publish("a", exchange=NAME, routing_key=NAME, serializer="json")
        assert bodies(read_all(reader, 1)) == ["a"]
        names = store.keys("*")
        assert {name.partition(b":")[0] for name in names} == {b"shop"}


def test_age_of_what_is_taken(client: Celery, store: redis.Redis) -> None:
    with redis_reader(client, QUEUE) as reader, client.connection_for_read() as connection:
        channel = connection.default_channel
        reader.read(0.01)  # it waits: its list is empty
        assert not reading.kept_since(channel, NAME, time.time() + 1)
        publish(client, "a")
        read_all(reader, 1)
        assert not reading.kept_since(channel, NAME, time.time() - 60)
        assert reading.kept_since(channel, NAME, time.time() + 1)
