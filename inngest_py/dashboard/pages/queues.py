"""The page of queues and workers: the backlog, waiting lines, leases and workers."""

from typing import Any

from flask import Response
from sqlalchemy import Connection

from ...domain.access.roles import Role
from ...domain.runs.items import SDK, ItemKind
from ...engine.admin import waiting_lines
from ...storage.queries import queue_stats, worker_list
from ..deps import context, read
from ..rendering import page
from ..routes import route

_MOST_LEASES = 200
_MOST_LINES = 30
_KINDS = {
    ItemKind.START: "first requests of runs",
    ItemKind.EDGE: "further requests of runs",
    ItemKind.SLEEP: "ends of sleeps",
    ItemKind.CANCEL: "cancellations by events",
    ItemKind.TIMEOUT: "time-outs of runs",
    ItemKind.GATEWAY: "HTTP calls for steps",
    ItemKind.WAIT: "ends of waits",
    ItemKind.EVENT: "events that end many waits",
    ItemKind.DEBOUNCE: "ends of debounces",
    ItemKind.BATCH: "time-outs of batches",
    ItemKind.THROTTLE: "next starts of throttles",
    ItemKind.REPLACE: "runs that a newer run cancels",
}


@route("/queues", Role.VIEWER)
def queues() -> Response:
    """Show the backlog by kind, the waiting lines, the leases and the workers."""
    now = context().now()

    def load(tx: Connection) -> dict[str, Any]:
        return {
            "due": queue_stats.due(tx, now),
            "later": queue_stats.later(tx, now),
            "lines": waiting_lines.longest(tx, now, _MOST_LINES),
            "in_line": queue_stats.in_waiting_lines(tx, queue_stats.MOST_COUNTED),
            "doing": queue_stats.doing(tx, queue_stats.MOST_COUNTED),
            "leases": queue_stats.leased(tx, _MOST_LEASES),
            "by_worker": queue_stats.leased_by_worker(tx),
            "workers": worker_list.alive(tx, now),
        }

    found = read(load)
    kinds = sorted({one.kind for one in (*found["due"], *found["later"])})
    return page(
        "queues.html",
        **found,
        kinds=kinds,
        words=_KINDS,
        most=queue_stats.MOST_COUNTED,
        most_leases=_MOST_LEASES,
        sdk=SDK,
        names={worker["id"]: worker["name"] for worker in found["workers"]},
    )
