"""Workers: say that this one lives, forget those that do not."""

import os
import socket
from datetime import timedelta

from ...storage import workers
from ..context import Context

ALIVE = timedelta(seconds=30)
_FORGET = timedelta(minutes=10)


def announce(ctx: Context, *, name: str, pool: str, concurrency: int) -> None:
    """Record this worker's start."""
    now = ctx.now()
    with ctx.db.transaction() as tx:
        workers.put(
            tx,
            {
                "id": ctx.worker_id,
                "name": name,
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "pool": pool,
                "concurrency": concurrency,
                "started_at": now,
                "heartbeat_at": now,
            },
        )


def beat(ctx: Context) -> bool:
    """Record that this worker lives, and forget the long silent."""
    now = ctx.now()
    with ctx.db.transaction() as tx:
        workers.beat(tx, ctx.worker_id, now)
        workers.remove_silent(tx, now - _FORGET)
    return False


def leave(ctx: Context) -> None:
    """Forget this worker, which stops in order."""
    with ctx.db.transaction() as tx:
        workers.remove(tx, ctx.worker_id)
