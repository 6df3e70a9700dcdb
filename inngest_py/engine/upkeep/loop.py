"""The loop of every service: its interval, its supervision, its stop.

Whatever a service raises, it runs again. During an outage of the database there is one log line
per service, and one for each new reason. Any other error is a fault: it is logged with its
traceback each time, counted, and shown by `/health` until a run succeeds, and the waits between
runs grow.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError

from ... import observe
from ...domain.errors import InngestPyError
from ...storage.db.outages import Reasons, logged, outage, reason
from ..admin import bulk_cancel, limit_overrides, search_key_walk
from ..runtime.context import SHORTEST_DELAY, Context
from . import (
    alerts,
    app_lines,
    apps_down,
    broker_lines,
    cron_ticks,
    due_items,
    ended_tasks,
    lease_keeping,
    leftovers,
    operations,
    pruning,
    resumptions,
    sent_tasks,
    stranded,
    stuck_lines,
    workers,
)
from .errors import forgetting, grouping, old_failures
from .roll_ups import counting
from .roll_ups import forgetting as old_roll_ups
from .service_ticks import Resting, until_wakeup

_NOT_YET_SECONDS = 0.2
_AFTER_OUTAGE = timedelta(seconds=2)
_AFTER_FAULT = timedelta(seconds=1)
_LONGEST_AFTER_FAULT = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Service:
    """A named service and its interval; `delay` may change the wait after a run."""

    name: str
    run_once: Callable[[Context], bool]
    every: timedelta
    delay: Callable[[Context, timedelta], timedelta] | None = None


def services(ctx: Context, presence: workers.Presence) -> list[Service]:
    """List the services of a worker."""
    lease, due = ctx.tuning.lease, due_items.DueItems()
    prune, apps, many = pruning.Pruning(), app_lines.AppLines(), operations.Operations()
    keys, ends = Resting(search_key_walk.walk, times=2), Resting(counting.count)
    older = Resting(old_failures.group_older)
    return [
        Service("due_items", due.run_once, ctx.tuning.tick, due.delay),
        Service("crons", cron_ticks.run_once, timedelta(seconds=1), cron_ticks.delay),
        Service("lapsed_leases", lease_keeping.Lapsed().run_once, lease / 6),
        Service("stuck_lines", stuck_lines.StuckLines().run_once, timedelta(seconds=1)),
        Service("stranded", stranded.Stranded().run_once, timedelta(seconds=5)),
        Service("limit_overrides", limit_overrides.expire, timedelta(seconds=1)),
        Service("presence", presence.heartbeat, timedelta(seconds=10)),
        Service("resumptions", resumptions.run_once, timedelta(seconds=30)),
        Service("error_groups", grouping.Grouping().run_once, grouping.EVERY),
        Service("old_failures", older.run_once, old_failures.EVERY, older.delay),
        Service("roll_ups", ends.run_once, counting.EVERY, ends.delay),
        Service("bulk_cancellations", bulk_cancel.cancel_page, timedelta(seconds=5)),
        Service("operations", many.run_once, operations.EVERY, many.delay),
        Service("search_keys", keys.run_once, search_key_walk.EVERY, keys.delay),
        Service("alerts", alerts.Alerting(ctx.tuning.reach).run_once, alerts.EVERY),
        Service("app_lines", apps.run_once, app_lines.EVERY, apps.delay),
        Service("broker_lines", broker_lines.run_once, broker_lines.EVERY),
        Service("pruning", prune.run_once, pruning.EVERY, prune.delay),
        Service("event_keys", leftovers.forget_keys, timedelta(minutes=5)),
        Service("waits", leftovers.forget_waits, timedelta(minutes=5)),
        Service("buckets", leftovers.forget_buckets, timedelta(minutes=5)),
        Service("workflows", leftovers.forget_workflows, timedelta(minutes=5)),
        Service("task_failures", leftovers.forget_failures, timedelta(minutes=5)),
        Service("old_errors", forgetting.run_once, forgetting.EVERY),
        Service("old_roll_ups", old_roll_ups.run_once, old_roll_ups.EVERY),
        Service("ended_operations", leftovers.forget_operations, timedelta(minutes=5)),
        Service("audit", leftovers.forget_acts, timedelta(minutes=5)),
    ]


def heartbeat(ctx: Context) -> list[Service]:
    """List the services of every process that holds leases."""
    return [
        Service("leases", lease_keeping.extend, ctx.tuning.lease / 3),
        Service("sent_tasks", sent_tasks.run_once, sent_tasks.EVERY),
        Service("apps_down", apps_down.AppsDown().run_once, apps_down.EVERY),
        Service("ended_tasks", ended_tasks.run_once, ended_tasks.EVERY),
    ]


class _Watch:
    """How a service's last runs ended."""

    def __init__(self, ctx: Context, service: Service, reasons: Reasons) -> None:
        self._ctx, self._service, self._reasons = ctx, service, reasons
        self._away = False
        self._delay = _AFTER_FAULT

    def well(self) -> None:
        """Note a run that succeeded."""
        faulty = self._ctx.faults.pop(self._service.name, None) is not None
        if self._away or faulty:
            observe.event("upkeep.back", service=self._service.name)
        if self._away:
            self._reasons.clear()
        self._away, self._delay = False, _AFTER_FAULT

    def failed(self, error: Exception) -> timedelta:
        """Log a run that raised; say how long to wait before the next."""
        name = self._service.name
        if outage(error) or isinstance(error, OSError):
            why = reason(error)
            if self._reasons.is_new(why) or not self._away:
                observe.event("upkeep.away", level=30, service=name, error=why)
            self._away = True
            return min(_AFTER_OUTAGE, self._service.every)
        delay = self._delay
        self._delay = min(delay * 2, max(self._service.every, _LONGEST_AFTER_FAULT))
        self._ctx.faults[name] = type(error).__name__
        again_in = delay.total_seconds()
        observe.event("upkeep.failed", level=40, service=name, again_in=again_in, **logged(error))
        return delay


class Upkeep:
    """Runs services, each in a thread of its own, until stopped.

    They begin when `begins` says so; an error of the database counts as not yet.
    """

    def __init__(
        self, ctx: Context, given: list[Service], begins: Callable[[], bool] | None = None
    ) -> None:
        self._ctx, self._begins = ctx, begins
        self._stop = threading.Event()
        self._reasons = Reasons()  # of outages, shared: services need not repeat each other's
        self._threads = [
            threading.Thread(
                target=self._loop, args=(service,), name=f"upkeep-{service.name}", daemon=True
            )
            for service in given
        ]

    def start(self) -> None:
        """Start every service, in the background if it is not yet time for that."""
        if self._begins is None:
            self._start_all()
        else:
            threading.Thread(target=self._start_later, args=(self._begins,), daemon=True).start()

    def _start_later(self, begins: Callable[[], bool]) -> None:
        while not self._stop.is_set():
            try:
                is_time = begins()
            except (SQLAlchemyError, OSError, InngestPyError):
                is_time = False
            except Exception as error:  # leases must be kept, whatever it is
                observe.event("upkeep.failed", level=40, service="begin", **logged(error))
                is_time = True
            if is_time:
                self._start_all()
                return
            self._stop.wait(_NOT_YET_SECONDS)

    def _start_all(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ask every service to end and wait for it briefly."""
        self._stop.set()
        self._ctx.db.written.set()  # the service of due items may wait for it
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=2.0)

    def _loop(self, service: Service) -> None:
        watch = _Watch(self._ctx, service, self._reasons)
        while not self._stop.is_set():
            try:
                again = service.run_once(self._ctx)
                wait = self._wait(service, again)
                watch.well()
            except Exception as error:
                wait = watch.failed(error)
            self._stop.wait(wait.total_seconds())

    def _wait(self, service: Service, again: bool) -> timedelta:
        if again:
            return SHORTEST_DELAY
        wait = until_wakeup(timedelta(seconds=time.monotonic()), service.every, self._ctx.phase)
        return wait if service.delay is None else service.delay(self._ctx, wait)
