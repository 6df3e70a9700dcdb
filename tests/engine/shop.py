"""An engine with a Celery app, whose broker and workers are the test."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from celery import Celery
from sqlalchemy import event

from inngest_py.domain.values import canonical
from inngest_py.engine.admin import limit_overrides
from inngest_py.engine.apps import celery_apps
from inngest_py.engine.intake import invoke
from inngest_py.engine.runtime.celery_apps import BrokerAway, CeleryApp, TaskMessage
from inngest_py.engine.upkeep import broker_lines
from inngest_py.engine.work.celery_tasks.task_answers import TaskAnswer, apply_answers
from inngest_py.storage.db.session import Database
from inngest_py.storage.queries import timeline_rows
from inngest_py.storage.queue import sent_tasks as sent_rows
from tests.engine.harness import Engine, sequence

# not shared: other apps of the process, such as the acceptance tests' own shop, would get its tasks
shop = Celery("shop", set_as_current=False)


@shop.task(name="shop.add", shared=False)
def add(a: int, b: int) -> int:
    return a + b


@shop.task(name="shop.total", shared=False)
def total(numbers: list[int]) -> int:
    return sum(numbers)


class Brokers:
    """Keeps what is sent, for a test to answer."""

    def __init__(self) -> None:
        self.sent: list[TaskMessage] = []
        self.away = False
        self.tries = 0

    def reachable(self, app: CeleryApp) -> bool:
        self.tries += 1
        return not self.away

    def send(self, app: CeleryApp, messages: Sequence[TaskMessage]) -> None:
        self.tries += 1
        if self.away:
            raise BrokerAway("connection refused")
        self.sent += messages


class Shop(Engine):
    """An engine with a Celery app whose workers are the test."""

    def __init__(self, db: Database, broker_url: str = "redis://unused:1/0") -> None:
        super().__init__(db, sequence())
        self.brokers = Brokers()
        self.ctx.celery_apps.brokers = self.brokers
        self.app_id = celery_apps.add(self.ctx, "shop", broker_url)
        celery_apps.register_tasks(self.ctx, self.app_id, ["shop.add", "shop.total", "celery.ping"])

    def app(self) -> CeleryApp:
        return self.ctx.celery_apps.get(self.ctx.committer, self.app_id)

    def send(self, signature: Any) -> str:
        """Start a run of a canvas; return its id."""
        signature = json.loads(json.dumps(signature))
        function = celery_apps.function_of_signature(self.ctx, "shop", signature)
        given = {"data": {"signature": signature}}
        started = invoke.invoke_function(self.ctx, function, given, 100)
        self.drain()
        assert started.run_id is not None
        return started.run_id

    def look_at_lines(self) -> None:
        """Look whether brokers that were away are back, and run what follows."""
        broker_lines.run_once(self.ctx)
        self.advance()

    def take(self) -> list[TaskMessage]:
        """Take the messages that were sent."""
        found, self.brokers.sent = self.brokers.sent, []
        return found

    def answer(self, *messages: TaskMessage, **given: Any) -> list[TaskAnswer]:
        """Answer tasks as a worker would, and run what follows."""
        answers = [self.made(message, **given) for message in messages]
        later = apply_answers(self.ctx, answers)
        self.drain()
        return later

    def made(self, message: TaskMessage, **given: Any) -> TaskAnswer:
        value = {"shop.add": sum, "shop.total": lambda args: sum(args[0])}[message.name]
        given.setdefault("failed", False)
        if not given["failed"] and "value" not in given:
            given["value"] = value(message.args)
        return TaskAnswer(self.app(), message.token, **given)

    def limit(self, task: str, most: int) -> None:
        """Limit how many calls of a task are in flight."""
        limit_overrides.put(self.ctx, f"shop-{task}", {"concurrency": most})

    def finish(self) -> None:
        """Answer all that is sent until nothing more is."""
        while found := self.take():
            self.answer(*found)

    def tried(self, run_id: str) -> list[tuple[str, str, int]]:
        with self.ctx.db.reading() as tx:
            rows = timeline_rows.attempts_of(tx, run_id)
        return [(row["name"], row["status"], row["attempt"]) for row in rows]

    def fail(self, message: TaskMessage, text: str = "no") -> None:
        """Fail a task, with its reason as the watcher stores it."""
        self.fail_together([message], text)

    def fail_together(self, messages: Sequence[TaskMessage], text: str = "no") -> None:
        """Fail tasks whose answers come at one moment."""
        error = canonical.dumps({"name": "ValueError", "message": text}).decode()
        rows: list[dict[str, object]] = [
            {"task_id": one.task_id, "error": error, "failed_at": self.now} for one in messages
        ]
        with self.ctx.db.transaction() as tx:
            sent_rows.note_failures(tx, rows)
        assert self.answer(*messages, failed=True) == []


@contextmanager
def counted(db: Database) -> Iterator[list[str]]:
    """Collect the statements that are run meanwhile."""
    found: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        found.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
