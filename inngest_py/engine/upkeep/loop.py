"""The loop of every service: its interval on the process's beats, stop, a log line an outage."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from ... import observe
from .. import overrides
from ..context import SHORTEST_PAUSE, Context
from . import (
    alerts,
    cancelling,
    crons,
    leases,
    lines,
    pruning,
    resuming,
    retention,
    sharing,
    stranded,
    timers,
    workers,
)
from .beats import until_beat

_AFTER_OUTAGE = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Service:
    """A named duty and how often it is due; `pause` may shorten the wait after a run."""

    name: str
    run_once: Callable[[Context], bool]
    every: timedelta
    pause: Callable[[Context, timedelta], timedelta] | None = None


def services(ctx: Context) -> list[Service]:
    """List what a worker does beside running items."""
    lease, timer = ctx.tuning.lease, timers.Timers()
    prune, share = pruning.Pruning(), sharing.Sharing()
    return [
        Service("timers", timer.run_once, ctx.tuning.tick, timer.pause),
        Service("crons", crons.run_once, timedelta(seconds=1), crons.pause),
        Service("lapsed", leases.Lapsed().run_once, lease / 6),
        Service("lines", lines.Standing().run_once, timedelta(seconds=1)),
        Service("stranded", stranded.Stranded().run_once, timedelta(seconds=5)),
        Service("limits", overrides.expire, timedelta(seconds=1)),
        Service("beat", workers.beat, timedelta(seconds=10)),
        Service("resuming", resuming.run_once, timedelta(seconds=30)),
        Service("cancelling", cancelling.run_once, timedelta(seconds=5)),
        Service("alerts", alerts.Alerting().run_once, alerts.EVERY),
        Service("sharing", share.run_once, sharing.EVERY, share.pause),
        Service("pruning", prune.run_once, pruning.EVERY, prune.pause),
        Service("keys", retention.forget_keys, timedelta(minutes=5)),
        Service("pauses", retention.forget_pauses, timedelta(minutes=5)),
        Service("buckets", retention.forget_buckets, timedelta(minutes=5)),
        Service("audit", retention.forget_acts, timedelta(minutes=5)),
    ]


def heartbeat(ctx: Context) -> list[Service]:
    """List what every process that holds leases must do."""
    return [Service("leases", leases.extend, ctx.tuning.lease / 3)]


class Upkeep:
    """Runs services, each in a thread of its own, until stopped."""

    def __init__(self, ctx: Context, duties: list[Service]) -> None:
        self._ctx = ctx
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(
                target=self._loop, args=(duty,), name=f"upkeep-{duty.name}", daemon=True
            )
            for duty in duties
        ]

    def start(self) -> None:
        """Start every service."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ask every service to end and wait for it briefly."""
        self._stop.set()
        self._ctx.db.written.set()  # timers may wait for it
        for thread in self._threads:
            thread.join(timeout=2.0)

    def _loop(self, duty: Service) -> None:
        away = False
        while not self._stop.is_set():
            try:
                again = duty.run_once(self._ctx)
                wait = self._wait(duty, again)
                if away:
                    observe.event("upkeep.back", service=duty.name)
                away = False
            except (DBAPIError, SQLAlchemyError, OSError) as error:
                if not away:
                    observe.event(
                        "upkeep.away", level=30, service=duty.name, error=type(error).__name__
                    )
                away, wait = True, _AFTER_OUTAGE
            self._stop.wait(wait.total_seconds())

    def _wait(self, duty: Service, again: bool) -> timedelta:
        if again:
            return SHORTEST_PAUSE
        wait = until_beat(timedelta(seconds=time.monotonic()), duty.every, self._ctx.phase)
        return wait if duty.pause is None else duty.pause(self._ctx, wait)
