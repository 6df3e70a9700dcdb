"""Watches the workers of a Celery app: their tasks, why tasks fail, and which tasks are lost.

One worker of this installation does it for each app, by a leased row. Events are turned on in the
app's workers by a broadcast, which changes nothing in the app. They say when tasks are received,
begun, retried and failed, and which workers come and go; what is learned so is written for many
tasks at once. What workers hold is asked every few seconds.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from celery import Celery
from sqlalchemy.exc import SQLAlchemyError

from ... import observe
from ...domain.reports.celery_seen import Workers
from ...domain.steps import task_states, tasks
from ...domain.steps.task_executions import RETRIED, Executions
from ...domain.steps.task_states import SentTask
from ...domain.values.json_types import JsonObject
from ...engine.apps import celery_apps
from ...engine.runtime.celery_apps import CeleryApp
from ...engine.runtime.context import Context
from ...engine.upkeep import celery_watch, lost_tasks
from ...engine.work.celery_tasks import unanswered_tasks
from ...storage.db.outages import outage
from .brokers import UNUSABLE, Unusable, connect, errors_of, fix_of
from .event_reasons import dropped_reason_of, reason_of, retry_reason_of
from .inspected import held_of, running_of
from .waiting_answers import WaitingAnswers, size_of
from .worker_events import EventReader, worker_events

_TRY_SECONDS = 5.0
_LOOK_SECONDS = 5.0
_SEE_SECONDS = 10.0  # for people, while nothing of ours runs there
_TASKS_SECONDS = 30.0
_COMMAND_SECONDS = 2.0  # how soon a command to look for tasks is seen
_WAIT_SECONDS = 1.0
_GATHER_SECONDS = 0.1  # events come in their hundreds: they are read together
_STORE_SECONDS = 1.0
_TICK_SECONDS = 0.25
_REVOKE_SECONDS = 1.0
_REPLY_SECONDS = 1.0
_FRESH_SECONDS = 2.0
_ANSWER_SECONDS = 4.0  # how long the answer of a failed task may take


class _Duty:
    """Work that is due again and again; `at` is when, by the monotonic clock."""

    def __init__(self, every: float, work: Callable[[], None]) -> None:
        self.every, self.work, self.at = every, work, 0.0

    def run_if_due(self) -> None:
        if time.monotonic() >= self.at:
            self.at = time.monotonic() + self.every
            self.work()


class Watcher:
    """Watches one app, as long as no other worker does."""

    def __init__(self, app: CeleryApp, context: Callable[[], Context]) -> None:
        self.app, self._context = app, context
        self._stop = threading.Event()
        self._failed: dict[str, JsonObject] = {}  # not stored yet
        self._executions = Executions()
        self._workers = Workers(app.queue)
        self._unanswered: dict[str, tuple[float, JsonObject]] = {}
        self._finding = _Duty(_TASKS_SECONDS, lambda: None)
        self._seeing = _Duty(_SEE_SECONDS, lambda: None)
        self._revoking = _Duty(_REVOKE_SECONDS, lambda: None)
        self._looking = _Duty(_LOOK_SECONDS, lambda: None)
        self._storing = _Duty(_STORE_SECONDS, lambda: None)
        self._busy: list[str] = []  # queues that had messages at the last look
        self._fresh: dict[str, float] = {}  # workers that have just started, and until when
        self._answers = WaitingAnswers(app)
        self._left: set[str] = set()  # workers that have stopped since the last look
        self._away = False
        self._errors = errors_of(connect(app))
        self._thread = threading.Thread(target=self._run, name=f"watch-{app.name}", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; the next watcher need not wait for the lease to lapse."""
        self._stop.set()
        self._thread.join(timeout=2.0)
        with suppress(SQLAlchemyError):
            celery_watch.end_watch(self._context(), self.app.app_id)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                if self._is_ours():
                    self._watch()
            except Exception as error:
                self._failed_to_watch(error)
            self._stop.wait(_TRY_SECONDS)

    def _failed_to_watch(self, error: Exception) -> None:
        """Say that the broker is away, once per outage; log what nobody foresaw."""
        if outage(error):  # upkeep logs that the database is away
            return
        if not isinstance(error, (Unusable, *self._errors)):
            observe.event("celery.watch_failed", level=40, exc_info=error, app=self.app.name)
            return
        if self._away:
            return
        self._away = True
        if isinstance(error, Unusable):
            code, fix = "broker_url", f"{UNUSABLE} ({error})"
            observe.event("celery.refused", level=40, app=self.app.name, error=str(error))
        else:
            code, fix = "broker_away", fix_of(error)
            observe.event("celery.away", level=30, app=self.app.name, error=fix)
        with suppress(SQLAlchemyError):
            celery_apps.mark(self._context(), self.app, code, fix)

    def _is_ours(self) -> bool:
        return celery_watch.is_watcher(self._context(), self.app.app_id)

    def _watch(self) -> None:
        """Read events, and ask the workers in a second thread, until another worker watches."""
        client = connect(self.app)
        over = threading.Event()
        asking = threading.Thread(target=self._ask, args=(client, over), daemon=True)
        try:
            with client.connection_for_read() as connection:
                self._connect(connection)
                celery_apps.mark(self._context(), self.app, None, None)
                self._away = False
                with worker_events(client, connection) as reader:
                    asking.start()
                    self._read(client, reader, over)
        finally:
            over.set()
            if asking.ident is not None:
                asking.join()
            client.close()

    def _connect(self, connection: Any) -> None:
        """Connect to the broker. Raises Unusable, without a text that may hold a password."""
        try:
            connection.ensure_connection(max_retries=1)
        except self._errors:
            raise
        except Exception as error:  # what the URL or the options make of kombu's arguments
            raise Unusable(type(error).__name__) from None

    def _read(self, client: Celery, reader: EventReader, over: threading.Event) -> None:
        while not (self._stop.is_set() or over.is_set()):
            for event in reader.read(_WAIT_SECONDS):
                self._note(event)
            self._tick(client)
            self._stop.wait(_GATHER_SECONDS)
        self._store_executions()

    def _tick(self, client: Celery) -> None:
        """Store what events said, and revoke tasks; not in the other thread, whose looks take long.

        Answers wait for why their tasks have failed: that is stored at once.
        """
        if self._failed:
            self._store_failures()
        if self._fresh:
            self._enable(client)
        self._storing.work = self._store_executions
        self._storing.run_if_due()
        self._revoking.work = lambda: self._revoke(client)
        self._revoking.run_if_due()

    def _ask(self, client: Celery, over: threading.Event) -> None:
        """Do what is due: renew the lease, find tasks, look for lost ones."""
        duties = [
            _Duty(_TRY_SECONDS, lambda: over.set() if not self._is_ours() else None),
            _Duty(_COMMAND_SECONDS, self._find_if_wanted),
            self._finding,
            self._looking,
            self._seeing,
        ]
        self._seeing.work = lambda: self._see(client)
        self._seeing.at = time.monotonic() + _SEE_SECONDS
        self._looking.work = lambda: self._look(client)
        self._finding.work = lambda: self._find_tasks(client)
        self._finding.at = 0.0
        try:
            while not (over.is_set() or self._stop.is_set()):
                for duty in duties:
                    duty.run_if_due()
                over.wait(_TICK_SECONDS)
        except Exception as error:  # the broker or the database is away, or a fault: watch anew
            self._failed_to_watch(error)
        finally:
            over.set()

    def _note(self, event: JsonObject) -> None:
        """Take in an event of a worker."""
        kind = str(event.get("type"))
        if kind.startswith("worker-"):
            self._note_worker(kind, event)
            return
        name = str(event.get("uuid"))
        if tasks.item_and_attempt(name) is None:
            return
        self._executions.note(kind, name, event)
        if kind == "task-failed":
            self._failed[name] = reason_of(event)
        elif kind == RETRIED:
            self._executions.retried(name, event, retry_reason_of(event))
        elif kind in ("task-revoked", "task-rejected"):
            self._failed[name] = dropped_reason_of(event)

    def _note_worker(self, kind: str, event: JsonObject) -> None:
        host = str(event.get("hostname"))[:255]
        if kind == "worker-offline":
            self._workers.left(host)
            self._left.add(host)
        else:
            self._workers.heard(host, self._context().now(), event.get("active"))
        if kind == "worker-online":
            self._finding.at = 0.0
            self._fresh[host] = time.monotonic() + _FRESH_SECONDS

    def _enable(self, client: Celery) -> None:
        """Have workers that have just started send events of tasks.

        They say that they are there before they can be told anything, and take tasks at once.
        """
        client.control.enable_events(destination=list(self._fresh))
        now = time.monotonic()
        self._fresh = {host: until for host, until in self._fresh.items() if until > now}

    def _store_executions(self) -> None:
        executions = self._executions.take()
        if not executions:
            return
        try:
            celery_watch.note_executions(self._context(), executions)
        except SQLAlchemyError:
            self._executions.give_back(executions)
            raise

    def _store_failures(self) -> None:
        failed = dict(self._failed)
        celery_watch.note_failures(self._context(), failed)
        for name, error in failed.items():
            self._failed.pop(name, None)
            self._unanswered[name] = time.monotonic() + _ANSWER_SECONDS, error

    def _revoke(self, client: Celery) -> None:
        """Ask the workers to drop the tasks that nobody waits for.

        Not as long as there are none: one that comes later would run what is still in its queue.
        """
        if not self._workers.is_any_alive(self._context().now()):
            return

        def send(names: Sequence[str], terminate: bool) -> None:
            client.control.revoke(names, terminate=terminate)

        celery_watch.revoke(self._context(), self.app.app_id, send)

    def _find_tasks(self, client: Celery) -> None:
        """Ask the workers which tasks they have, and to send events from now on."""
        client.control.enable_events()
        inspect, ctx = client.control.inspect(timeout=_REPLY_SECONDS), self._context()
        asked_at = ctx.now()
        found, stats = inspect.registered() or {}, inspect.stats() or {}
        self._workers.told(found, stats, inspect.active_queues() or {}, ctx.now())
        celery_watch.note_seen(ctx, self.app.app_id, self._workers)
        celery_watch.end_refresh(ctx, self.app.app_id, asked_at)
        self._seeing.at = 0.0

    def _find_if_wanted(self) -> None:
        if celery_watch.is_refresh_wanted(self._context(), self.app.app_id):
            self._finding.at = 0.0

    def _see(self, client: Celery) -> None:
        """Ask what the workers run, whoever sent it, and how long their queues are."""
        with client.connection_for_read() as connection:
            self._measure(connection, set())
        inspect = client.control.inspect(timeout=_REPLY_SECONDS)
        self._note_held(inspect.active() or {}, inspect.reserved() or {})

    def _measure(self, connection: Any, more: set[str]) -> None:
        """Count the messages of the app's queues, of those that workers read, and of `more`."""
        names = {self.app.queue, *self._workers.read_queues, *more}
        self._workers.queues = {name: size_of(connection, name) for name in sorted(names)}

    def _note_held(self, active: Any, reserved: Any) -> None:
        ctx = self._context()
        running = {host: [running_of(one) for one in listed] for host, listed in active.items()}
        counts = {host: len(listed) for host, listed in reserved.items()}
        self._workers.hold(running, counts, ctx.now())
        celery_watch.note_seen(ctx, self.app.app_id, self._workers)
        self._seeing.at = time.monotonic() + _SEE_SECONDS

    def _look(self, client: Celery) -> None:
        """Compare what the workers hold with the tasks that were sent."""
        ctx = self._context()
        self._fail_unanswered(ctx)
        sent = lost_tasks.sent(ctx, self.app.app_id, busy=self._busy)
        if not (sent or self._busy):
            return
        if self._answers.wait(client):
            return  # answers that are not applied yet: their tasks are in no worker any more
        with client.connection_for_read() as connection:
            queues = {task.queue for task in sent.values()}
            self._measure(connection, queues.union(self._busy))
            waiting = self._workers.queues
        self._busy = sorted(queue for queue, size in waiting.items() if size)
        left, self._left = self._left, set()  # before the others are asked
        inspect = client.control.inspect(timeout=_REPLY_SECONDS)
        # in the order in which tasks move on, so that one that does is seen
        scheduled, reserved = inspect.scheduled() or {}, inspect.reserved() or {}
        active = inspect.active() or {}
        held = held_of(active, reserved, scheduled)
        hosts = frozenset({*active, *reserved})
        sent |= lost_tasks.named(ctx, held.keys() - sent.keys())
        told, retried = self._executions.held(), self._executions.awaited()
        sent |= lost_tasks.received(ctx, sent, {n: one for n, one in told.items() if n not in held})
        sent |= lost_tasks.given_back(ctx, sent, held, retried=retried, left=left)
        late = task_states.expired(sent, held, ctx.now())
        if late and not self._answers.wait(client):
            # one that has ended since has sent its answer before it left its worker
            unanswered_tasks.end_expired(ctx, late)
        sent = {name: task for name, task in sent.items() if name not in late}
        self._look_at_deadline(sent, ctx.now())
        lost_tasks.compare(ctx, sent, held, hosts=hosts, waiting=waiting)
        self._note_held(active, reserved)

    def _look_at_deadline(self, sent: Mapping[str, SentTask], now: datetime) -> None:
        """Look again when the next deadline of a task is over, if that is sooner than usual."""
        ahead = [
            (task.expires - now).total_seconds()
            for task in sent.values()
            if task.expires is not None and task.expires > now and task.started is None
        ]
        if ahead:
            self._looking.at = min(self._looking.at, time.monotonic() + min(ahead))

    def _fail_unanswered(self, ctx: Context) -> None:
        """End tasks that have failed, and of which no answer has come since."""
        now = time.monotonic()
        kept = list(self._unanswered.items())  # at once: the other thread adds to it
        over = {name: error for name, (until, error) in kept if until <= now}
        if not over:
            return
        again = False
        try:
            lost_tasks.fail(ctx, over)
        except SQLAlchemyError as error:
            again = outage(error)
            raise
        finally:
            for name in () if again else over:
                self._unanswered.pop(name, None)
