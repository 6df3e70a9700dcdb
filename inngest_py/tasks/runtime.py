"""The context of this process: made on first use, and again after a fork.

Connections and locks must not cross a fork, so the context is kept with its process id.
"""

import os
import random
import threading
from collections.abc import Callable
from datetime import timedelta

from gevent.monkey import is_module_patched
from sqlalchemy.exc import SQLAlchemyError

from .. import observe
from ..config import Settings
from ..domain.access.reach import Reach
from ..domain.runs.items import ItemKind
from ..engine.realtime.database_wire import DatabaseWire
from ..engine.realtime.followed import Followed
from ..engine.realtime.hub import Hub, Wire
from ..engine.runtime.app_fairness import Fairness
from ..engine.runtime.celery_apps import CeleryApps, TaskBrokers
from ..engine.runtime.context import Context, Hints, Tuning, new_ulid, utc_now
from ..engine.runtime.group_commit import Committer
from ..engine.transport.gateway import Fetcher
from ..engine.transport.greenlets import GreenletTransport
from ..engine.transport.http import Transport
from ..engine.transport.sockets import Refusal
from ..engine.upkeep import sent_tasks
from ..engine.upkeep.loop import Upkeep, heartbeat
from ..engine.work.run_topics import RunTopics
from ..storage.db.outages import logged
from ..storage.db.session import Database
from ..storage.schema import migrate
from .celery_apps.brokers import Brokers
from .kombu.intake import Intake


def make_context(
    settings: Settings,
    hints: Hints,
    *,
    slots: int,
    worker_id: str = "",
    shared: bool = True,
    shared_calls: int | None = None,
    brokers: TaskBrokers | None = None,
) -> Context:
    """Build a context from settings, for `slots` calls in flight.

    `shared_calls` is how many calls the apps share, if that is another number than `slots`.
    `brokers` are the connections to Celery apps; None for a process that sends no tasks.
    """
    db = Database(
        settings.database_url,
        synchronous=settings.sqlite_synchronous,
        pool=settings.database_pool_size(slots),
        limits=settings.database_limits(),
    )
    linear, reach = settings.retry_interval, settings.reach()
    return Context(
        db=db,
        transport=make_transport(slots, reach.refusal),
        committer=Committer(db, shared=shared and slots > 1),
        hints=hints,
        fetcher=Fetcher(connections=slots, refusal=_for_steps(settings, reach)),
        clock=db.clock.now,
        worker_id=worker_id or new_ulid(utc_now()),
        celery_apps=CeleryApps(brokers),
        fairness=Fairness(slots if shared_calls is None else shared_calls),
        # random: workers that started together would otherwise all ask at the same moment
        phase=timedelta(seconds=60 * random.SystemRandom().random()),
        tuning=Tuning(
            lease=timedelta(seconds=settings.lease_seconds),
            linear_retry=None if linear is None else timedelta(seconds=linear),
            tick=settings.tick(),
            signing_keys=settings.signing_keys,
            slots=slots,
            alone=settings.embedded and settings.is_sqlite,
            cron_missed=settings.cron_missed,
            alerts=settings.alerts(),
            keep=settings.keep(),
            keep_audit=settings.audit_kept(),
            reach=reach,
        ),
    )


def _heartbeat(ctx: Context) -> Upkeep:
    """Make what begins when the database has its tables; who waits for these says so in the log."""
    return Upkeep(ctx, heartbeat(ctx), lambda: migrate.unready(ctx.db) is None)


def _for_steps(settings: Settings, reach: Reach) -> Refusal:
    """Return the rule for hosts that steps may call: that of apps, or a narrower one."""
    if not settings.gateway_public_only:
        return reach.refusal
    public = Reach(public_only=True, setting="INNGEST_GATEWAY_PUBLIC_ONLY")
    return lambda host, address: reach.refusal(host, address) or public.refusal(host, address)


def make_transport(slots: int, refusal: Refusal) -> Transport:
    """Choose the HTTP client: greenlets have one of their own."""
    kind = GreenletTransport if under_gevent() else Transport
    return kind(connections=slots, refusal=refusal)


def under_gevent() -> bool:
    """Say whether this process runs tasks in greenlets."""
    return bool(is_module_patched("threading"))


class Runtime:
    """Gives the process's context; every process that asks for it also extends its leases."""

    def __init__(
        self,
        settings: Settings,
        hints: Hints,
        lines: Hints | None = None,
        wire: Callable[[Hub], Wire | None] = lambda hub: None,
    ) -> None:
        self.settings, self.hints = settings, hints
        self._lines = None if settings.embedded else lines
        self._wire = wire
        self.followed = Followed()
        self.worker_id = new_ulid(utc_now())
        self.worker_name: str | None = None
        self.slots = settings.concurrency
        self.forks = False  # True: into child processes, with one call each
        self.intake = Intake()
        # what is left to do before the process ends with calls still in flight
        self.before_cut: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self._pid, self._main_pid = -1, os.getpid()
        self._context: Context | None = None
        self._upkeep: Upkeep | None = None
        self._topics: RunTopics | None = None
        self._rows: DatabaseWire | None = None

    def context(self) -> Context:
        """Return this process's context."""
        if self._pid != os.getpid():
            self._lock = self._lock if self._pid == -1 else threading.Lock()
            with self._lock:
                if self._pid != os.getpid():
                    self._context = self._made()
                    self._upkeep = _heartbeat(self._context)
                    self._upkeep.start()
                    self._pid = os.getpid()
        assert self._context is not None
        return self._context

    def _made(self) -> Context:
        child = self.forks and os.getpid() != self._main_pid
        made = self._with_settings(child=child)
        made.hub.followed = self.followed
        made.worker_name = self.worker_name
        if self._topics is not None:  # the parent's, after a fork
            self._topics.disconnect()
        self._topics = RunTopics(made)
        self._topics.connect()
        if self._lines is not None:
            lines = self._lines
            made.connections.tell = lambda apps: lines.send([(ItemKind.EDGE, app) for app in apps])
            made.hub.wire = self._wire(made.hub)
        elif not self.settings.is_sqlite:  # other servers may use the database
            made.hub.wire = self._rows = DatabaseWire(made.db, made.hub, made.worker_id, made.now)
        return made

    def _with_settings(self, *, child: bool) -> Context:
        return make_context(
            self.settings,
            self.hints,
            slots=1 if child else self.slots,
            worker_id=self.worker_id,
            shared_calls=1 if self.forks else None,
            brokers=Brokers(patched=self.settings.celery_patches),
        )

    def work_as(self, name: str) -> None:
        """Name the worker of this process; its children, which are forked later, have the name."""
        self.worker_name = name
        if self._context is not None:
            self._context.worker_name = name

    def read_rows(self) -> None:
        """Begin to read realtime messages from the database, where they come that way."""
        if self._rows is not None:
            self._rows.start()

    def write_sent(self) -> None:
        """Write which tasks of Celery apps this process has sent; else others send them again."""
        if self._pid != os.getpid() or self._context is None:
            return
        try:
            while sent_tasks.run_once(self._context):
                pass
        except SQLAlchemyError as error:  # their leases will lapse
            observe.event("tasks.not_written", level=30, **logged(error))

    def close(self) -> None:
        """Stop the heartbeat and close connections."""
        if self._pid == os.getpid() and self._context is not None:
            if self._upkeep is not None:
                self._upkeep.stop()
            if self._topics is not None:
                self._topics.disconnect()
            if self._rows is not None:
                self._rows.stop()
            self._context.close()
            self._context, self._pid = None, -1
