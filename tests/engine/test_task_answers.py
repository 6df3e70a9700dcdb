"""Answers as they come over a real broker: read, applied, and acknowledged once they are stored."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis
from amqp.exceptions import AccessRefused
from celery import chain, chord
from kombu import Connection, Producer
from kombu.exceptions import EncodeError

from inngest_py.domain.values import canonical
from inngest_py.engine.apps import celery_apps as task_apps
from inngest_py.engine.runtime.celery_apps import BrokerAway, CeleryApp, TaskMessage
from inngest_py.storage.db.session import Database
from inngest_py.tasks.celery_apps import waiting_answers
from inngest_py.tasks.celery_apps.answers import Answers
from inngest_py.tasks.celery_apps.brokers import (
    Brokers,
    answers_queue,
    connect,
    errors_of,
    fix_of,
)
from inngest_py.tasks.celery_apps.task_messages import DONE, FAILED
from tests.engine.shop import Shop, add, total
from tests.processes import Process, wait_until
from tests.rabbit import SERVER, Rabbit
from tests.servers import Valkey


@pytest.fixture
def shop_engine(db: Database, valkey: Valkey) -> Shop:
    return Shop(db, valkey.url)


@pytest.fixture
def answers(shop_engine: Shop) -> Iterator[Answers]:
    made = Answers(shop_engine.app(), lambda: shop_engine.ctx)
    made.start()
    yield made
    made.stop()


def publish(
    engine: Shop,
    token: str,
    *,
    failed: bool = False,
    value: object = None,
    protocol: int = 2,
) -> None:
    """Send an answer as a worker does, in one of the two forms of Celery's messages."""
    app, name, kwargs = engine.app(), FAILED if failed else DONE, {"token": token}
    body: object = [[value], kwargs, {}]
    if protocol == 1:
        body = {"task": name, "id": "1", "args": [value], "kwargs": kwargs, "retries": 0}
    with Connection(app.broker_url) as connection:
        Producer(connection).publish(
            body,
            exchange=answers_queue(app).exchange,
            routing_key=answers_queue(app).routing_key,
            declare=[answers_queue(app)],
            headers={"task": name, "origin": "gen42@shop-7"} if protocol == 2 else {},
            serializer="json",
        )


def ended(engine: Shop, run_id: str) -> Callable[[], bool]:
    return lambda: engine.run(run_id)["status"] in ("completed", "failed")


def test_failure_without_a_reason_is_applied_after_a_while(
    shop_engine: Shop, answers: Answers
) -> None:
    """The worker sends no events, or nobody watched when it did."""
    run_id = shop_engine.send(add.s(1, 2))
    [message] = shop_engine.take()
    publish(shop_engine, message.token, failed=True)
    wait_until(ended(shop_engine, run_id), 30, "the run to fail")
    error = canonical.loads(shop_engine.run(run_id)["output"])["error"]
    assert "its worker on shop-7 (process 42) sent no event of it" in error["message"]
    assert f"look for {message.task_id} there" in error["message"]


def test_worker_may_write_the_first_form_of_messages(shop_engine: Shop, answers: Answers) -> None:
    """Its setting `task_protocol` is 1; its answers were taken for strange messages else."""
    run_id = shop_engine.send(add.s(1, 2))
    [message] = shop_engine.take()
    publish(shop_engine, message.token, value=3, protocol=1)
    wait_until(ended(shop_engine, run_id), 30, "the run to end")
    assert canonical.loads(shop_engine.run(run_id)["output"]) == 3


def _nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (float("nan"), "no number NaN"),
        ({"a": [float("inf")]}, "no number Infinity"),
        (10**400, "infinity"),
        (2**64, "has more than 64 bits"),
        (_nested(500), "nested deeper"),
    ],
    ids=["NaN", "infinity", "integer", "65 bits", "nested"],
)
def test_result_that_cannot_be_stored_fails_its_run(
    shop_engine: Shop, answers: Answers, value: object, problem: str
) -> None:
    """Were its answer passed over, its task would count as lost and run again."""
    run_id = shop_engine.send(chain(add.s(1, 2), add.s(3)))
    [message] = shop_engine.take()
    publish(shop_engine, message.token, value=value)
    wait_until(ended(shop_engine, run_id), 30, "the run to fail")
    error = canonical.loads(shop_engine.run(run_id)["output"])["error"]
    assert error["name"] == "InvalidAnswer"
    assert "result of task 'add [1/2]'" in error["message"]
    assert problem in error["message"]


def test_result_that_is_too_deep_within_a_list_of_results_fails_its_run(
    shop_engine: Shop, answers: Answers
) -> None:
    run_id = shop_engine.send(chord([add.s(1, 2), add.s(3, 4)], total.s()))
    for message in shop_engine.take():
        publish(shop_engine, message.token, value=_nested(198))

    def over() -> bool:
        shop_engine.drain()
        return ended(shop_engine, run_id)()

    wait_until(over, 30, "the run to fail")
    assert "nested deeper" in str(shop_engine.run(run_id)["output"])


def test_reader_goes_on_after_its_broker_was_away(
    shop_engine: Shop, answers: Answers, valkey: Valkey
) -> None:
    for _ in range(2):
        run_id = shop_engine.send(add.s(1, 2))
        [message] = shop_engine.take()
        publish(shop_engine, message.token, value=3)
        wait_until(ended(shop_engine, run_id), 30, "the run to end")
        valkey.restart()


def test_installations_with_apps_of_one_name_read_their_own_answers(
    shop_engine: Shop, valkey: Valkey
) -> None:
    mine = shop_engine.app()
    other = replace(mine, secret="of another installation")
    assert answers_queue(mine).name != answers_queue(other).name


def test_readers_leave_unacknowledged_tasks_to_the_apps_workers(shop_engine: Shop) -> None:
    """Who reads from Redis gives back what was not acknowledged, after a time of its own."""
    with (
        connect(shop_engine.app()).connection_for_read() as connection,
        connection.channel() as ours,
    ):
        assert not {ours.unacked_key, ours.unacked_index_key, ours.unacked_mutex_key}.intersection(
            {"unacked", "unacked_index", "unacked_mutex"}
        )


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "amqp://127.0.0.1:1//"])
def test_broker_that_is_away_is_no_fault(shop_engine: Shop, url: str) -> None:
    with pytest.raises(BrokerAway, match="cannot be reached: check its URL"):
        send(replace(shop_engine.app(), broker_url=url))


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:1/0?ssl_cert_reqs=secret", "sentinel://127.0.0.1:1/0"]
)
def test_tasks_of_a_broker_that_cannot_be_used_wait(shop_engine: Shop, url: str) -> None:
    app = replace(shop_engine.app(), broker_url=url)
    with pytest.raises(BrokerAway, match="connect the app again with others") as raised:
        send(app)
    assert "secret" not in str(raised.value)
    assert not Brokers().reachable(app)


def test_reader_of_a_broker_that_cannot_be_used_says_so_once(
    shop_engine: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    app = replace(shop_engine.app(), broker_url="sentinel://127.0.0.1:1/0")
    reader = Answers(app, lambda: shop_engine.ctx)
    reader.start()
    try:
        wait_until(lambda: "celery.away" in caplog.text, 20, "the reader to say it")
    finally:
        reader.stop()
    assert "celery.answers_failed" not in caplog.text


def test_task_that_no_message_can_hold_is_no_fault_of_the_broker(shop_engine: Shop) -> None:
    with pytest.raises(EncodeError):
        Brokers().send(
            shop_engine.app(), [TaskMessage("id", "shop.add", [object()], {}, {}, "token", "root")]
        )


def send(app: CeleryApp) -> None:
    Brokers().send(app, [TaskMessage("id", "shop.add", [], {}, {}, "token", "root")])


def test_wrong_password_is_told(shop_engine: Shop, valkey: Valkey) -> None:
    with redis.Redis(port=valkey.port) as client:
        client.config_set("requirepass", "right")
    try:
        with pytest.raises(BrokerAway, match="check user, password and virtual host"):
            send(shop_engine.app())
    finally:
        valkey.restart()


def test_broker_that_takes_no_writes_says_why(shop_engine: Shop, valkey: Valkey) -> None:
    app, brokers = shop_engine.app(), Brokers()
    message = TaskMessage("id", "shop.add", [], {}, {}, "token", "root")
    with redis.Redis.from_url(valkey.url) as client:
        try:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", "1")
            with pytest.raises(BrokerAway, match="memory is full"):
                brokers.send(app, [message])
            client.config_set("maxmemory", "0")
            client.replicaof("127.0.0.1", "1")
            with pytest.raises(BrokerAway, match="read-only replica"):
                brokers.send(app, [message])
        finally:
            client.config_set("maxmemory", "0")
            client.replicaof("NO", "ONE")
            brokers.close()


def test_refusals_of_rabbitmq_are_no_faults(shop_engine: Shop) -> None:
    client = connect(replace(shop_engine.app(), broker_url="amqp://127.0.0.1:1//"))
    refused = AccessRefused("Login was refused")
    assert isinstance(refused, errors_of(client))
    assert "check user, password" in fix_of(refused)


def test_broker_that_says_nothing_counts_as_away(shop_engine: Shop, valkey: Valkey) -> None:
    app = replace(shop_engine.app(), options='{"socket_timeout": 0.5}')
    brokers, message = Brokers(), TaskMessage("id", "shop.add", [], {}, {}, "token", "root")
    brokers.send(app, [message])
    valkey.freeze()
    try:
        with pytest.raises(BrokerAway):
            brokers.send(app, [message])
    finally:
        valkey.thaw()


def test_answers_that_a_killed_worker_had_taken_count_as_unread(shop_engine: Shop) -> None:
    """Else their tasks would count as lost before they are read again."""
    app = shop_engine.app()
    name = answers_queue(app).name
    with connect(app).connection_for_read() as connection:
        client = connection.default_channel.client
        client.zadd(f"{name}.taken", {"idle": time.time() - 20, "new": time.time()})
        client.lpush("new", "an answer")
        assert not waiting_answers.are_kept(connection, name)
        client.zadd(f"{name}.taken", {"old": time.time() - 20})
        client.lpush("old", "an answer")
        assert waiting_answers.are_kept(connection, name)


def test_queue_that_is_read_as_fast_as_it_fills_gets_empty(shop_engine: Shop) -> None:
    """Else no task would be found to be lost while many tasks end."""
    queue = answers_queue(shop_engine.app())
    with connect(shop_engine.app()).connection_for_read() as connection:
        queue(connection.default_channel).declare()
        client = connection.default_channel.client
        client.lpush(queue.name, "answer")
        assert not waiting_answers.gets_empty(connection, queue.name)
        reader = threading.Timer(0.3, client.delete, (queue.name,))
        reader.start()
        assert waiting_answers.gets_empty(connection, queue.name)
        reader.join()


def test_url_that_kombu_cannot_use_is_refused_at_once(shop_engine: Shop) -> None:
    with pytest.raises(KeyError):
        Answers(replace(shop_engine.app(), broker_url="nothing://x"), lambda: shop_engine.ctx)


@pytest.fixture
def rabbit() -> Iterator[Rabbit]:
    broker = Rabbit()
    try:
        yield broker.start()
    finally:
        broker.close()


def test_connection_that_kombu_has_closed_counts_as_lost(shop_engine: Shop) -> None:
    app, brokers = shop_engine.app(), Brokers()
    message = TaskMessage("id", "shop.add", [], {}, {}, "token", "root")
    brokers.send(app, [message])
    with brokers._broker(app).client.producer_pool.acquire() as producer:
        producer.channel.close()
    with pytest.raises(BrokerAway):
        brokers.send(app, [message])
    brokers.send(app, [message])


@pytest.mark.skipif(not SERVER.exists(), reason="RabbitMQ is not installed")
def test_answers_that_a_frozen_worker_has_taken_go_to_another(
    shop_engine: Shop, rabbit: Rabbit, tmp_path: Path
) -> None:
    """Before their tasks count as lost."""
    task_apps.add(shop_engine.ctx, "shop", rabbit.url)
    run_id = shop_engine.send(add.s(1, 2))
    [message] = shop_engine.take()
    app = shop_engine.app()
    code = (
        "from inngest_py.tasks.celery_apps.brokers import answers_queue, connect\n"
        "from inngest_py.tasks.celery_apps.consumer_reader import consumer_reader\n"
        "from inngest_py.engine.runtime.celery_apps import CeleryApp\n"
        f"app = CeleryApp({app.app_id!r}, 'shop', {rabbit.url!r}, '{{}}', 'shop', {app.secret!r})\n"
        "with consumer_reader(connect(app), answers_queue(app)) as reader:\n"
        "    while True:\n"
        "        found = reader.read(1.0)\n"
        "        print('took' if found else 'reads', flush=True)\n"
    )
    frozen = Process([sys.executable, "-c", code], tmp_path / "frozen.log")
    with frozen.start():
        wait_until(lambda: "reads" in frozen.log_tail(), 60, "the worker to read")
        publish(shop_engine, message.token, value=3)
        wait_until(lambda: "took" in frozen.log_tail(), 60, "the worker to take the answer")
        frozen.suspend()
        other = Answers(app, lambda: shop_engine.ctx)
        other.start()
        try:
            wait_until(ended(shop_engine, run_id), 28, "another worker to take the answer")
        finally:
            other.stop()
            frozen.resume()


@pytest.mark.skipif(not SERVER.exists(), reason="RabbitMQ is not installed")
def test_task_sent_over_a_connection_that_was_lost_does_not_vanish(
    shop_engine: Shop, rabbit: Rabbit
) -> None:
    """Else it would wait for ever where the app's queue is never empty."""
    app, brokers = replace(shop_engine.app(), broker_url=rabbit.url), Brokers()
    message = TaskMessage("id", "shop.add", [], {}, {}, "token", "root")
    brokers.send(app, [message])
    rabbit.kill()
    with pytest.raises(BrokerAway):
        brokers.send(app, [message])


def test_answers_that_wait_all_the_time_are_told_once(
    shop_engine: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing counts as lost meanwhile: people have to know why."""
    shop_engine.send(add.s(1, 2))
    [message] = shop_engine.take()
    publish(shop_engine, message.token, value=3)
    app = shop_engine.app()
    waiting, client = waiting_answers.WaitingAnswers(app, behind=0.0), connect(app)

    def told() -> list[object]:
        events = [one for one in caplog.records if one.msg == "celery.answers_behind"]
        return [one.__dict__["fields"] for one in events]

    for _ in range(2):
        assert waiting.wait(client)
    assert told() == [{"app": "shop", "answers": 1}]
    with client.connection_for_read() as connection:
        answers_queue(app)(connection.default_channel).purge()
    assert not waiting.wait(client)
    publish(shop_engine, message.token, value=3)
    assert waiting.wait(client)
    assert len(told()) == 2
    client.close()
