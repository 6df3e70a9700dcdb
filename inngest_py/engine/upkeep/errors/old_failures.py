"""Group the runs that failed before the server grouped errors, newest first.

A number in the database says from when on all are grouped. Each slice moves it by a guarded
statement in the transaction that notes the slice's runs, so a kill repeats nothing, and of several
workers one does each slice. It stops at the oldest run that retention has left.
"""

from datetime import timedelta

from .... import observe
from ....domain.values import ids
from ....storage.runs import failed_runs as rows
from ...runtime.context import Context
from . import grouping

EVERY = timedelta(minutes=1)
_SLICE = 50


def group_older(ctx: Context, most: int = _SLICE) -> bool:
    """Group the next runs that failed before; say whether there may be more."""
    with ctx.db.reading() as tx:
        since_ms = rows.grouped_since(tx)
        if since_ms == rows.ALL:
            return False
        before = None if since_ms is None else ids.lowest_ulid_of_ms(since_ms)
        found = rows.without_note(tx, before, most)
    # runs of one millisecond are in no order: the next slice looks at all of the last one's again
    left = ids.ulid_ms(found[-1].id) + 1 if len(found) == most else rows.ALL
    with ctx.db.transaction() as tx:
        if not rows.move_on(tx, since_ms, left):
            return True  # another worker has done this slice
        rows.note_old(tx, [(run.id, run.ended_at) for run in found])
    grouping.group(ctx, most)
    if left == rows.ALL and (found or since_ms is not None):
        observe.event("error.old_grouped")
    return left != rows.ALL
