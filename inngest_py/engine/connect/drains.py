"""Draining a connected worker: it ends the calls that it has, and gets no more.

The wish is in the connection's row. The gateway that holds the connection reads it, so any process
may be asked. The protocol has no frame that tells a worker to stop: GATEWAY_CLOSING makes SDKs
connect again at once, and they would get calls there. So the worker stays connected.
"""

from ... import observe
from ...domain.errors import NotFound
from ...storage.catalog import connections as rows
from ..runtime import audit
from ..runtime.audit import Actor
from ..runtime.context import Context


def drain(ctx: Context, connection_id: str, by: Actor | None = None) -> None:
    """Let a worker get no more work, within two seconds. Raises NotFound."""
    _ask(ctx, connection_id, by, is_wanted=True)


def resume(ctx: Context, connection_id: str, by: Actor | None = None) -> None:
    """Let a drained worker get work again, within two seconds. Raises NotFound."""
    _ask(ctx, connection_id, by, is_wanted=False)


def _ask(ctx: Context, connection_id: str, by: Actor | None, *, is_wanted: bool) -> None:
    now = ctx.now()
    action = "worker.drain" if is_wanted else "worker.resume"
    with ctx.db.transaction() as tx:
        worker = rows.ask_drain(tx, connection_id, now if is_wanted else None)
        if worker is None:
            raise NotFound(f"no worker has the connection {connection_id[:64]!r}")
        audit.note(tx, by, now, action, worker, connection_id)
    observe.event("connect.drain", worker=worker, connection=connection_id, is_wanted=is_wanted)
    for one in ctx.connections.all():  # else its gateway looks for it
        if one.id == connection_id:
            one.hold(is_wanted)
