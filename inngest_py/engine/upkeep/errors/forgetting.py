"""Delete the counts of old hours, and error groups of which no run is left."""

from datetime import timedelta

from ....storage.operations import error_groups
from ...runtime.context import Context

EVERY = timedelta(minutes=5)
KEPT = timedelta(days=8)  # pages show seven days
_BATCH = 200


def run_once(ctx: Context) -> bool:
    """Delete a batch; say whether there may be more."""
    now = ctx.now()
    with ctx.db.transaction() as tx:
        return error_groups.forget(tx, now - KEPT, now, _BATCH)
