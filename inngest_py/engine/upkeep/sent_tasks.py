"""Write that Celery apps have tasks that were sent: many in one statement, a moment later.

Until then a task's item is leased to the worker that sent it. A task that ends before needs no
such write.
"""

from datetime import timedelta

from ...storage.queue import sent_tasks
from ..runtime.context import Context

EVERY = timedelta(milliseconds=500)
_BATCH = 500


def run_once(ctx: Context) -> bool:
    """Lease the items of sent tasks to their apps; say whether there are more."""
    sent = ctx.celery_apps.sent()[:_BATCH]
    if not sent:
        return False
    with ctx.db.transaction() as tx:
        sent_tasks.hand_over(tx, sent)
    # also those that are gone: they have ended, or their runs have
    ctx.celery_apps.written(sent)
    return len(sent) == _BATCH
