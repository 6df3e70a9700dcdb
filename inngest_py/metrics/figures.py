"""Figures of the database, read when somebody asks, at most once in three seconds."""

import threading
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from .. import observe
from ..domain.reports.error_groups import ErrorState
from ..domain.runs.items import ItemKind
from ..domain.runs.runs import LIVE
from ..engine.runtime.context import Context
from ..storage.db import deadlines
from ..storage.db.outages import logged, outage
from ..storage.queries import app_list, queue_stats, run_detail, worker_list
from ..storage.queries.errors import groups
from ..storage.queries.errors.groups import ErrorQuery
from . import connected

# Counts stop here: reading so many entries of an index takes about 0.1 s.
MOST = 100_000
KEEP = timedelta(seconds=3)
_READ_SECONDS = 5.0
LIMITS = ("throttle", "concurrency", "app", "broker")  # those of queue_stats.in_waiting_lines()


class Figures(Collector):
    """Reads the database's figures, and asks the broker.

    Without the database, `inngest_database_up` is 0 and its figures are missing.
    """

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._lock = threading.Lock()
        self._read_at: datetime | None = None
        self._kept: list[Metric] = []
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(self)

    def describe(self) -> Iterable[Metric]:
        """Declare no names, so that registering reads nothing."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Return the figures; read them again if the last ones are older than KEEP."""
        with self._lock:  # callers that wait here get what the first one reads
            now = self._ctx.now()
            if self._read_at is None or not self._read_at <= now < self._read_at + KEEP:
                self._kept, self._read_at = self._read(now), self._ctx.now()
            return self._kept

    def _read(self, now: datetime) -> list[Metric]:
        up = GaugeMetricFamily("inngest_database_up", "Whether the database answers.")
        self._ctx.hints.ask()  # the broker answers while the database is read
        try:
            with deadlines.within(_READ_SECONDS):
                found = self._figures(now)
        except SQLAlchemyError as error:
            if not outage(error):
                observe.event("metrics.failed", level=40, **logged(error))
            up.add_metric([], 0)
            return [up, self._broker()]
        up.add_metric([], 1)
        return [up, self._broker(), *found]

    def _broker(self) -> Metric:
        found = GaugeMetricFamily(
            "inngest_broker_up", "Whether the broker answers; 1 where it is in this process."
        )
        found.add_metric([], float(self._ctx.hints.reachable()))
        return found

    def _figures(self, now: datetime) -> list[Metric]:
        with self._ctx.db.reading() as tx:
            live = run_detail.live(tx, MOST)
            due = queue_stats.due(tx, now, MOST)
            held = queue_stats.in_flight(tx, MOST)
            in_line = queue_stats.in_waiting_lines(tx, MOST)
            alive = len(worker_list.alive(tx, now))
            connections = connected.figures(tx)
            errors = groups.counts(tx, ErrorQuery(), now)
            down = len(app_list.down(tx))
        by_state = {state.value: count for state, count in errors.items()}
        depth = {one.kind: one.count for one in due}
        ages = {one.kind: max(0.0, (now - one.oldest).total_seconds()) for one in due if one.oldest}
        return [
            _gauge("inngest_runs", "Runs that have not ended.", "status", LIVE, live),
            _gauge("inngest_queue_due", "Items due and not leased.", "kind", ItemKind, depth),
            _gauge(
                "inngest_queue_oldest_seconds",
                "How long the oldest due item has been due.",
                "kind",
                ItemKind,
                ages,
            ),
            _gauge(
                "inngest_queue_in_flight", "Items that are being worked on.", "kind", ItemKind, held
            ),
            _gauge(
                "inngest_queue_waiting",
                "Items in the waiting line of a limit.",
                "limit",
                LIMITS,
                in_line,
            ),
            GaugeMetricFamily("inngest_workers", "Workers that are alive.", alive),
            _gauge("inngest_errors", "Error groups.", "state", ErrorState, by_state),
            GaugeMetricFamily("inngest_apps_down", "Apps that do not answer.", down),
            *connections,
        ]


def _gauge(
    name: str, text: str, label: str, keys: Iterable[str], values: Mapping[str, float]
) -> Metric:
    """Make a gauge with every key, 0 if it has no value: a series must not come and go."""
    made = GaugeMetricFamily(name, text, labels=[label])
    for key in keys:
        made.add_metric([str(key)], values.get(str(key), 0))
    return made
