"""Workers: record that this one lives, delete the rows of those that do not."""

import os
import socket
import threading
from datetime import datetime, timedelta

from ...storage.operations import workers
from ...version import __version__
from ..runtime.context import Context

_FORGET = timedelta(minutes=10)


class Presence:
    """This worker's row, from its start to its orderly stop."""

    def __init__(self, name: str, pool: str, concurrency: int) -> None:
        self._name, self._pool, self._concurrency = name, pool, concurrency
        self._started_at: datetime | None = None
        self._left = False
        self._lock = threading.Lock()  # a beat that is under way ends before the row goes

    def announce(self, ctx: Context) -> None:
        """Record this worker's start."""
        self.heartbeat(ctx)

    def heartbeat(self, ctx: Context) -> bool:
        """Record that this worker lives and which of its services fail; delete silent workers.

        After an outage that silenced all workers, one that others have deleted comes back.
        """
        with self._lock:
            if not self._left:
                self._write(ctx)
        return False

    def _write(self, ctx: Context) -> None:
        now = ctx.now()
        self._started_at = self._started_at or now
        row = {
            "id": ctx.worker_id,
            "name": self._name,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "pool": self._pool,
            "concurrency": self._concurrency,
            "started_at": self._started_at,
            "heartbeat_at": now,
            "version": __version__,
            "faults": ",".join(sorted(ctx.faults)) or None,
        }
        with ctx.db.transaction() as tx:
            workers.put(tx, row)
            workers.remove_silent(tx, now - _FORGET)

    def leave(self, ctx: Context) -> None:
        """Delete this worker's row: it stops in order."""
        self._left = True
        with self._lock, ctx.db.transaction() as tx:
            workers.remove(tx, ctx.worker_id)
