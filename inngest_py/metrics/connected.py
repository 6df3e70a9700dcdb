"""Figures of connected workers: how many, what they take and have, what waits for them."""

from collections import Counter
from collections.abc import Mapping, Sequence

from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy import Connection, RowMapping

from ..domain.connect.actions import Status
from ..domain.values import canonical
from ..storage.queries import app_list, worker_list
from .labels import OTHER

MOST_APPS = 100
_STATUSES = {
    Status.CONNECTED: "connecting",
    Status.READY: "ready",
    Status.DRAINING: "draining",
    Status.DISCONNECTING: "moving",
}
_Counts = Mapping[str, float]


def figures(tx: Connection) -> list[Metric]:
    """Read the figures, by the names of apps; a worker of several apps counts for each."""
    apps = {row["id"]: row["name"] for row in app_list.every(tx) if row["method"] == "connect"}
    names = sorted(apps.values())[:MOST_APPS]
    labels = {app_id: name if name in names else OTHER for app_id, name in apps.items()}
    return _metrics(labels, worker_list.connections(tx), worker_list.waiting(tx))


def _metrics(
    labels: Mapping[str, str], rows: Sequence[RowMapping], waiting: Mapping[str, int]
) -> list[Metric]:
    workers = GaugeMetricFamily(
        "inngest_connected_workers", "Connections of workers.", labels=["app", "status"]
    )
    counts: Counter[tuple[str, Status]] = Counter()
    capacity: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    for row in rows:
        for app_id in canonical.loads(row["groups"]):
            app, status = labels.get(app_id, OTHER), Status(row["status"])
            counts[app, status] += 1
            calls[app] += row["in_flight"]
            capacity[app] += row["capacity"] if status is Status.READY else 0
    shown = sorted({*labels.values(), *(app for app, _ in counts)})
    for app in shown:  # with its zeros: a series must not come and go
        for status, word in _STATUSES.items():
            workers.add_metric([app, word], counts[app, status])
    lines: Counter[str] = Counter()
    for app_id, count in waiting.items():
        lines[labels.get(app_id, OTHER)] += count
    return [
        workers,
        _by_app("capacity", "Calls that the ready workers of an app take.", shown, capacity),
        _by_app("in_flight", "Calls that workers of an app have.", shown, calls),
        _by_app("waiting", "Items that wait for a worker of their app.", shown, lines),
    ]


def _by_app(name: str, text: str, apps: Sequence[str], values: _Counts) -> Metric:
    made = GaugeMetricFamily(f"inngest_connected_{name}", text, labels=["app"])
    for app in apps:
        made.add_metric([app], values.get(app, 0))
    return made
