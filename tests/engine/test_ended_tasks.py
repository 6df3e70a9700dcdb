"""Attempts of Celery tasks that have ended: their metrics and spans, with their workers' times."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from celery import chain
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from inngest_py import tracing
from inngest_py.domain.runs import traces
from inngest_py.domain.steps.task_executions import Executions
from inngest_py.engine.runtime.celery_apps import TaskMessage
from inngest_py.engine.upkeep import celery_watch, ended_tasks, lost_tasks
from inngest_py.engine.upkeep import sent_tasks as sent_upkeep
from inngest_py.metrics.counters import Counters
from inngest_py.storage.db.session import Database
from tests.engine.shop import Shop, add


class Measured(Shop):
    """An engine whose metrics and spans are kept."""

    def __init__(self, db: Database) -> None:
        super().__init__(db)
        self.counters = Counters(lambda _: None)
        self.counters.connect()
        self.kept = InMemorySpanExporter()
        self.spans = tracing.make({})
        self.spans.provider.add_span_processor(SimpleSpanProcessor(self.kept))
        self.spans.connect()

    def value(self, name: str, **labels: str) -> float:
        return self.counters.registry.get_sample_value(f"inngest_{name}", labels) or 0.0

    def work(self, message: TaskMessage, *, queued: float, ran: float) -> None:
        """Have a worker tell by events that it received and began a task, and let it run."""
        events, sent = Executions(), self.now
        told = {"hostname": "celery@x", "root_id": message.root_id}
        received, started = (sent + timedelta(seconds=s) for s in (queued / 2, queued))
        events.note("task-received", message.task_id, told | {"timestamp": received.timestamp()})
        events.note("task-started", message.task_id, told | {"timestamp": started.timestamp()})
        celery_watch.note_executions(self.ctx, events.take())
        self.now += timedelta(seconds=queued + ran)

    def tell(self) -> None:
        """Tell the listeners of what has ended."""
        self.now += timedelta(seconds=2)
        assert ended_tasks.run_once(self.ctx) is False


@pytest.fixture
def measured(db: Database) -> Iterator[Measured]:
    made = Measured(db)
    yield made
    made.counters.disconnect()
    made.spans.close()


def test_times_in_the_queue_and_of_running_are_measured_by_task(measured: Measured) -> None:
    measured.send(chain(add.s(1, 2), add.s(3)))
    for queued, ran in ((4.0, 2.0), (0.25, 0.5)):
        [message] = measured.take()
        measured.work(message, queued=queued, ran=ran)
        measured.answer(message)
    assert measured.value("task_attempts_total", task="shop-shop.add", outcome="completed") == 0
    measured.tell()
    assert measured.value("task_attempts_total", task="shop-shop.add", outcome="completed") == 2
    queued_sum = measured.value("task_queue_seconds_sum", task="shop-shop.add")
    assert queued_sum == pytest.approx(4.25, abs=0.01)
    assert measured.value("task_run_seconds_sum", task="shop-shop.add") == pytest.approx(2.5, 0.01)
    assert measured.value("task_run_seconds_count", task="shop-shop.add") == 2


def test_failed_lost_and_late_tasks_are_told_apart(measured: Measured) -> None:
    measured.send(add.s(1, 2))
    [message] = measured.take()
    measured.fail(message)
    measured.send(add.s(1, 2))
    [message] = measured.take()
    sent_upkeep.run_once(measured.ctx)
    measured.now += timedelta(seconds=60)
    for _ in range(6):
        known = lost_tasks.sent(measured.ctx, measured.app_id)
        lost_tasks.compare(
            measured.ctx, known, {}, hosts=frozenset(["celery@x"]), waiting={"celery": 0}
        )
    measured.tell()
    for outcome in ("failed", "lost"):
        assert measured.value("task_attempts_total", task="shop-shop.add", outcome=outcome) == 1
    assert measured.value("task_run_seconds_count", task="shop-shop.add") == 0


def test_what_cannot_be_read_now_is_told_later(measured: Measured) -> None:
    measured.send(add.s(1, 2))
    measured.finish()
    measured.now += timedelta(seconds=2)
    with measured.ctx.db.transaction() as tx:
        tx.execute(text("ALTER TABLE task_executions RENAME TO away"))
    with pytest.raises(DBAPIError):
        ended_tasks.run_once(measured.ctx)
    with measured.ctx.db.transaction() as tx:
        tx.execute(text("ALTER TABLE away RENAME TO task_executions"))
    measured.tell()
    assert measured.value("task_attempts_total", task="shop-shop.add", outcome="completed") == 1


def test_each_attempt_is_a_span_of_its_run(measured: Measured) -> None:
    run_id = measured.send(add.s(1, 2))
    [message] = measured.take()
    began = measured.now
    measured.work(message, queued=4.0, ran=2.0)
    measured.answer(message)
    measured.tell()
    [span] = [one for one in measured.kept.get_finished_spans() if one.name == "task shop.add"]
    [run] = [one for one in measured.kept.get_finished_spans() if one.name.startswith("run ")]
    assert span.parent is not None and run.context is not None and span.context is not None
    assert f"{span.parent.span_id:016x}" == traces.span_id(run_id)
    assert span.context.trace_id == run.context.trace_id
    assert span.start_time is not None and span.end_time is not None
    assert span.end_time - span.start_time == pytest.approx(6e9, rel=0.01)
    assert span.start_time == pytest.approx(began.timestamp() * 1e9, abs=1e7)
    attributes = span.attributes or {}
    assert attributes["celery.hostname"] == "celery@x"
    assert attributes["messaging.message.id"] == message.task_id
    assert [event.name for event in span.events] == ["begun by a worker"]


def test_nothing_is_kept_while_nobody_listens(db: Database) -> None:
    shop = Shop(db)
    shop.send(add.s(1, 2))
    shop.finish()
    assert shop.ctx.celery_apps.ended.take(shop.now + timedelta(hours=1), 10) == []
