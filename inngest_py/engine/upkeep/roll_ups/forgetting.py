"""Delete the roll-ups of old hours."""

from datetime import timedelta

from ....storage.runs import function_hours
from ...runtime.context import Context

EVERY = timedelta(minutes=5)
KEPT = timedelta(days=8)  # pages show seven days
_BATCH = 500


def run_once(ctx: Context) -> bool:
    """Delete a batch; say whether there may be more."""
    with ctx.db.transaction() as tx:
        return function_hours.forget(tx, ctx.now() - KEPT, _BATCH)
