"""Plans of many runs that are written in one transaction."""

from collections.abc import Sequence

from .... import observe
from ....storage.db.outages import outage
from ...runtime.context import Context
from ..apply import apply_all
from ..writes import PlanWrite


def write_together(ctx: Context, writes: Sequence[PlanWrite]) -> bool:
    """Write plans in one transaction; say whether that was done.

    False means that nothing is written, as one of them is void: each alone will say which. Raises
    the error of an outage.
    """
    try:
        ctx.committer.run_alone(lambda tx: apply_all(tx, writes))
    except Exception as error:
        if outage(error):
            raise
        observe.event("task.answers_apart", level=10, error=type(error).__name__)
        return False
    return True
