"""The page of a worker: what it is, what it runs, and what it did in the last hour."""

from flask import Response
from sqlalchemy import Connection

from ....domain.access.roles import Role
from ....domain.errors import NotFound
from ....domain.runs import made_by
from ....storage.queries import app_list, queue_stats, why_waiting, worker_list
from ....storage.queries.workers import lately
from ...deps import context, read
from ...rendering import page
from ...routes import route


@route("/workers/<worker_id>", Role.VIEWER)
def worker(worker_id: str) -> Response:
    """Show a process that works."""
    now = context().now()

    def load(tx: Connection) -> dict[str, object]:
        found = why_waiting.worker(tx, worker_id)
        if found is None:
            raise NotFound(f"there is no worker {worker_id[:64]!r} alive: it has stopped")
        return {
            "one": found,
            "leases": queue_stats.leased(tx, lately.MOST_SHOWN, worker_id),
            "busy": queue_stats.leased_by_worker(tx).get(worker_id, 0),
            "lately": lately.of_worker(tx, found["name"], now),
        }

    return page("worker.html", 200, **read(load))


@route("/connections/<connection_id>", Role.VIEWER)
def connected_worker(connection_id: str) -> Response:
    """Show a connected worker of apps."""
    now = context().now()

    def load(tx: Connection) -> dict[str, object]:
        found = next(iter(worker_list.shown(tx, now, only=connection_id)), None)
        if found is None:
            raise NotFound(f"there is no connection {connection_id[:64]!r}: it ended a while ago")
        return {
            "one": found,
            "apps": app_list.by_ids(tx, sorted(found.groups)),
            "lately": lately.of_worker(tx, made_by.connected(found.instance), now),
        }

    return page("connected_worker.html", 200, **read(load))
