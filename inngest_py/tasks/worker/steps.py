"""The worker's own steps: run upkeep beside the pool, and give leases back at the stop.

Written against Celery 5.7: steps stop in reverse order, so upkeep stops before the pool, which
would wait for all calls; and a cold shutdown sets `state.should_terminate`.
"""

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from celery import Celery, bootsteps
from celery.signals import worker_process_shutdown, worker_shutting_down
from celery.worker import state
from sqlalchemy.exc import SQLAlchemyError

from ... import observe, tracing
from ...domain.errors import Conflict
from ...engine.clock import kept
from ...engine.runtime.context import Context
from ...engine.runtime.probe import Probe
from ...engine.upkeep import loop, sent_tasks, workers
from ...engine.work import run_item
from ...metrics.serving import WorkerMetrics
from ...storage.db.outages import Reasons, logged, outage, reason
from ...storage.schema import migrate
from .. import configuration, unexpected
from ..celery_apps.service import CeleryAppsService
from ..kombu import prefork, redis
from ..kombu.realtime_wire import followed_reader
from ..runtime import Runtime
from . import garbage, lifeline
from .reloading import Reload
from .without_broker import Direct

_LOOK_SECONDS = 0.1


def add_steps(app: Celery) -> None:
    """Add upkeep to every worker of the app."""
    app.steps["worker"].add(UpkeepStep)


class UpkeepStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """Runs upkeep in the worker's main process, the same for every pool."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **kwargs: Any) -> None:
        super().__init__(worker, **kwargs)
        app = worker.app
        self.runtime: Runtime = app.runtime
        self.service: WorkerService | None = None
        self.celery_apps = CeleryAppsService(self.runtime.context)
        self.direct = Direct(self.runtime, app.runner)
        self.followed = (
            None if self.runtime.settings.embedded else followed_reader(app, self.runtime.followed)
        )
        self.reload = Reload()
        # set before the pool forks: children have the same worker id and name
        self.pool = str(worker.pool_cls.__module__).rsplit(".", 1)[-1]
        self.runtime.slots = 1 if self.pool == "solo" else worker.concurrency
        self.runtime.forks = self.pool == "prefork"
        self.runtime.work_as(worker.hostname)
        self.metrics = _metrics(self.runtime, forks=self.runtime.forks)
        self.patches = self.pool == "gevent" and self.runtime.settings.celery_patches
        if self.patches and configuration.is_redis(app.conf.broker_url):
            redis.take_unacknowledged(app)
        # an embedded server has started tracing for its worker already
        embedded = self.runtime.settings.embedded
        self.stop_tracing = tracing.start({} if embedded else os.environ)
        if self.runtime.forks:
            prefork.ignore_signals_in_tasks()
            # children do not run atexit at their end
            worker_process_shutdown.connect(self._end_child, weak=False)

    def start(self, worker: Any) -> None:
        unexpected.log_and_count()
        if not self.runtime.settings.embedded:
            self.reload.handle_sighup()
            lifeline.stop_with_supervisor(dict(os.environ), _tell_orphaned)
        if self.runtime.forks:
            prefork.cancel_by_sigkill(worker.pool)
        self.service = WorkerService(self.runtime, worker.hostname, self.pool, worker.concurrency)
        self.service.start()
        self.celery_apps.start()
        if self.followed is not None:
            self.followed.start()
        worker.app.hinter.instead = self.direct.begin
        if self.pool == "gevent":
            self.runtime.intake.wait_before_reads(worker.pool, for_slots=self.patches)
            if (ctx := self.runtime.context()).tuning.alone:
                ctx.at_once = worker.app.runner
        garbage.freeze_objects()
        if self.metrics is not None:
            settings, ctx = self.runtime.settings, self.runtime.context()
            unready = partial(_unready, ctx, Probe(ctx))
            self.metrics.start(settings.host, settings.metrics_port or 0, unready)
            worker_shutting_down.connect(self._shutting_down, weak=False)

    def _shutting_down(self, **_: object) -> None:
        self.runtime.context().stopping.set()

    def stop(self, worker: Any) -> None:
        if self.followed is not None:
            self.followed.stop()
        self.runtime.context().at_once = None
        self.direct.stop()
        self.celery_apps.stop()
        if self.service is not None and not self.service.stop(partial(self._has_calls, worker)):
            self._cut_calls(worker)
        if self.metrics is not None:  # while calls end, there is something to count
            self.metrics.stop()
        self.stop_tracing()

    def terminate(self, worker: Any) -> None:
        """Stop at once: what a cold shutdown asks for."""
        self.runtime.context().at_once = None
        self.direct.stop()
        self.celery_apps.stop()
        if self.service is not None and not self.service.stop(lambda: False):
            self._cut_calls(worker)
        tracing.stop_soon(self.stop_tracing)

    def _end_child(self, **_: object) -> None:
        self.runtime.write_sent()
        self.stop_tracing()

    def _has_calls(self, worker: Any) -> bool:
        """Say whether to wait for calls: in a cold shutdown for none, else for those in flight."""
        if state.should_terminate:  # a second Ctrl-C, or SIGQUIT
            return False
        return not self.runtime.forks or self.direct.is_busy or prefork.any_child_busy(worker.pool)

    def _cut_calls(self, worker: Any) -> None:
        """End the process, whose threads would wait for the calls."""
        prefork.kill_children(worker.pool)
        observe.event("worker.cut_calls", level=30)
        tracing.stop_soon(self.stop_tracing)
        self.runtime.before_cut()
        self.reload.restart_if_wanted()
        os._exit(0)


def _tell_orphaned() -> None:
    observe.event("worker.orphaned", level=30)


def _unready(ctx: Context, probe: Probe) -> str | None:
    """Say why a worker that has started takes no items; None if it does."""
    if ctx.stopping.is_set():
        return "the worker is stopping"
    found = probe.ask()
    return found.public_message if found.fault is not None or found.broken else None


def _metrics(runtime: Runtime, *, forks: bool) -> WorkerMetrics | None:
    """Begin to count if the worker has a metrics port; an embedded server shows its worker's."""
    settings = runtime.settings
    if settings.metrics_port is None or settings.embedded:
        return None

    def slug_of(function_id: str) -> str | None:
        # the context of the process that counts, which after a fork is another one
        return runtime.context().catalog.slug_of(function_id)

    return WorkerMetrics(slug_of, forks=forks)


class WorkerService:
    """What a worker does beside running items, from its start to its stop."""

    def __init__(self, runtime: Runtime, name: str, pool: str, concurrency: int) -> None:
        self._runtime = runtime
        self._name, self._pool = name, pool
        self._presence = workers.Presence(name, pool, concurrency)
        self._upkeep: loop.Upkeep | None = None

    def start(self) -> None:
        """Wait for the database, announce this worker, and start upkeep."""
        ctx = self._runtime.context()
        wait_for_schema(ctx)
        _refuse_moved(ctx)
        self._presence.announce(ctx)
        ctx.moved.append(self._presence.heartbeat)
        self._upkeep = loop.Upkeep(ctx, loop.services(ctx, self._presence))
        self._upkeep.start()
        observe.event("worker.ready", worker=self._name, pool=self._pool)

    def stop(self, has_calls: Callable[[], bool]) -> bool:
        """Let calls finish within the grace time; return False if leases had to be given back.

        `has_calls` says whether calls are still in flight: leases of dead children are given back.
        """
        ctx = self._runtime.context()
        if self._upkeep is not None:
            self._upkeep.stop()
        deadline = time.monotonic() + self._runtime.settings.grace_seconds
        # leases of tasks that were sent just now go to their apps, those of children's as well
        written = time.monotonic() + 2 * sent_tasks.EVERY.total_seconds()
        finished = True
        try:
            while run_item.count_leased(ctx):
                now = time.monotonic()
                if now > deadline or (now > written and not has_calls()):
                    given = run_item.give_back(ctx, ctx.now())
                    observe.event("worker.gave_back", level=30, items=given)
                    finished = False
                    break
                time.sleep(_LOOK_SECONDS)
            self._presence.leave(ctx)
        except SQLAlchemyError as error:  # no lease can be given back: they will lapse
            observe.event("worker.kept_leases", level=30, **logged(error))
            return False
        return finished


def _refuse_moved(ctx: Context) -> None:
    """End the process if the database has a virtual clock, and this process does not."""
    if ctx.real_clock is not None:
        return
    try:
        kept.refuse_moved(ctx.db)
    except Conflict as error:
        observe.event("clock.refused", level=50, error=error.message)
        raise SystemExit(1) from None


def wait_for_schema(ctx: Context) -> None:
    """Wait until the database answers and has its tables, with one log line per reason.

    Ends the process if a newer version has changed the tables so that this one cannot use them.
    """
    pause, reasons = 0.2, Reasons()
    while True:
        cause: BaseException | None = None
        try:
            why = migrate.unready(ctx.db)
        except Conflict as error:
            observe.event("schema.refused", level=50, error=error.message)
            raise SystemExit(1) from None
        except SQLAlchemyError as error:
            why = reason(error)
            cause = None if outage(error) else logged(error).get("exc_info")
        if why is None:
            return
        if reasons.is_new(why):
            observe.event("database.wait", level=30, error=why, exc_info=cause)
        time.sleep(pause)
        state.maybe_shutdown()  # a worker that has to stop does not wait any longer
        pause = min(pause * 2, 5.0)
