"""Resuming: finish resumptions whose process died before all held items were given back."""

from ...storage.queue import function_pause as rows
from ..admin import pause_function
from ..runtime.context import Context


def run_once(ctx: Context) -> bool:
    """Give back held items of functions that are not paused any more."""
    with ctx.db.reading() as tx:
        found = rows.resuming(tx)
    for function_id in found:
        pause_function.give_back(ctx, function_id)
    return False
