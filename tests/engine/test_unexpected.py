"""An unexpected exception is logged with its traceback and counted; an expected one is short."""

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from inngest_py import observe
from inngest_py.config_reading import load
from inngest_py.domain.runs.items import ItemKind
from inngest_py.engine.runtime.broker import Broker
from inngest_py.engine.runtime.context import NoHints
from inngest_py.engine.runtime.hints import Hinter
from inngest_py.metrics.counters import Counters
from inngest_py.metrics.figures import Figures
from inngest_py.serving.supervisor import Workers
from inngest_py.storage.db.outages import logged
from inngest_py.storage.db.session import Database
from inngest_py.tasks import unexpected
from inngest_py.tasks.items import Runner
from inngest_py.tasks.runtime import Runtime
from inngest_py.tasks.worker.without_broker import Direct
from tests.engine.harness import Engine, sequence
from tests.processes import wait_until


@pytest.fixture
def counters() -> Iterator[Counters]:
    made = Counters(lambda _: None)
    made.connect()
    yield made
    made.disconnect()


def counted(counters: Counters, event: str) -> float | None:
    label = {"event": event}
    return counters.registry.get_sample_value("inngest_unexpected_errors_total", label)


def lines(caplog: pytest.LogCaptureFixture, event: str) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.message == event]


def shown(record: logging.LogRecord) -> str:
    assert record.exc_info, "it has a traceback"
    return logging.Formatter().formatException(record.exc_info)


def insert_twice(db: Database) -> None:
    for _ in range(2):
        with db.transaction() as tx:
            tx.execute(text("INSERT INTO meta VALUES (:key, 1)"), {"key": "sk-" + "secret"})


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_databases_error_has_a_traceback_without_values(
    db: Database, wrapped: bool, caplog: pytest.LogCaptureFixture, counters: Counters
) -> None:
    try:
        try:
            insert_twice(db)
        except Exception as error:
            if wrapped:
                raise RuntimeError("not now") from error
            raise
    except Exception as error:
        observe.event("item.failed", level=40, **logged(error))
    [line] = lines(caplog, "item.failed")
    assert "in insert_twice" in shown(line)
    assert ("IntegrityError" if db.is_sqlite else "UniqueViolation 23505 meta_pkey") in shown(line)
    assert ("RuntimeError" in shown(line)) is wrapped
    assert "sk-secret" not in shown(line)
    assert counted(counters, "item.failed") == 1


def test_what_is_expected_is_not_counted(counters: Counters) -> None:
    observe.event("upkeep.away", level=30, error="the database is away")
    assert counted(counters, "upkeep.away") is None


def test_a_listener_that_raises_is_counted(counters: Counters) -> None:
    def listener(**_: object) -> None:
        raise KeyError("of another package")

    observe.listen(observe.run_queued, listener)
    try:
        observe.send(observe.run_queued, run_id="r", function_id="f", event_id="e")
    finally:
        observe.stop_listening(observe.run_queued, listener)
    assert counted(counters, "listener.failed") == 1


def test_a_thread_that_fails_is_logged_and_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, counters: Counters
) -> None:
    def fail() -> None:
        raise KeyError("unforeseen")

    monkeypatch.setattr(threading, "excepthook", None)  # put back at the end
    unexpected.log_and_count()
    thread = threading.Thread(target=fail, name="odd")
    thread.start()
    thread.join()
    [line] = lines(caplog, "thread.failed")
    assert line.fields["thread"] == "odd"  # type: ignore[attr-defined]
    assert "KeyError: 'unforeseen'" in shown(line)
    assert counted(counters, "thread.failed") == 1


@pytest.mark.parametrize(
    ("error", "is_ours"), [(ConnectionError("gone"), False), (TypeError(), True)]
)
def test_a_broker_that_fails_in_an_unforeseen_way_is_logged_with_the_traceback(
    error: Exception, is_ours: bool, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker(lambda: None)
    broker.lost(error)
    [line] = lines(caplog, "broker.away")
    assert bool(line.exc_info) is is_ours
    wait_until(lambda: not broker.away)


def test_hints_that_nobody_takes_end_neither_the_sender_nor_the_thread(
    caplog: pytest.LogCaptureFixture, counters: Counters
) -> None:
    def publish(kind: ItemKind, ids: list[str]) -> None:
        if ids == ["lost"]:
            raise ConnectionError("no broker")
        sent.extend(ids)

    def instead(kind: ItemKind, ids: list[str]) -> None:
        raise RuntimeError("can't start new thread")

    sent = list[str]()
    hinter = Hinter(publish, Broker(lambda: None))
    hinter.instead = instead
    hinter.send([(ItemKind.EDGE, "lost")])
    wait_until(lambda: lines(caplog, "hints.failed"))
    hinter.send([(ItemKind.EDGE, "away")])
    assert counted(counters, "hints.failed") == 2
    wait_until(lambda: not hinter._broker.away)
    hinter.send([(ItemKind.EDGE, "next")])
    wait_until(lambda: sent == ["next"])
    hinter.stop()


def test_a_table_that_is_gone_is_no_outage(
    db: Database, caplog: pytest.LogCaptureFixture, counters: Counters
) -> None:
    """The figures and a worker without its broker say so, each time."""
    engine = Engine(db, sequence("a"))
    settings = {"database_url": db.url.render_as_string(hide_password=False)}
    runtime = Runtime(load(settings, {}), NoHints())
    try:
        runtime.context()
        with db.transaction() as tx:
            tx.execute(text("ALTER TABLE queue_items RENAME TO gone"))
        Direct(runtime, Runner(runtime)).begin(ItemKind.EDGE, ["one"])
        assert counted(counters, "item.failed") == 1
        up = next(iter(Figures(engine.ctx).collect()))
        assert (up.name, up.samples[0].value) == ("inngest_database_up", 0)
        assert counted(counters, "metrics.failed") == 1
        assert "queue_items" not in shown(lines(caplog, "metrics.failed")[0]).splitlines()[-1]
    finally:
        runtime.close()


def test_a_worker_that_cannot_be_started_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr(Workers, "command", lambda *_: [str(tmp_path / "none")])
    supervisor = Workers(load({"workers": 1}, {}))
    supervisor.start()
    wait_until(lambda: len(lines(caplog, "worker.not_started")) == 2, 20, "a second try")
    supervisor.stop()
