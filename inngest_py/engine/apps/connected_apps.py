"""Sync of the apps of a worker that connects (connect.md §3)."""

from ...domain.connect.worker_hello import Worker
from ..runtime.context import Context
from . import register


def sync(ctx: Context, worker: Worker) -> dict[str, str]:
    """Sync a worker's apps; return the worker group of each, by the app's id.

    Raises Invalid.
    """
    groups: dict[str, str] = {}
    for app in worker.apps:
        done = register.register(ctx, app.sync, method=app.sync.method)
        groups[done.app_id] = app.group
    return groups
