"""Tasks of Celery apps whose brokers are away: let them in when the brokers are back.

While a broker is away, its tasks wait in a line: ten thousand of them cost one try to connect every
few seconds, in each process.
"""

from datetime import timedelta

from ... import observe
from ...storage.queue import waiting_lines
from ..runtime.celery_apps import LINE_PREFIX
from ..runtime.context import Context

EVERY = timedelta(seconds=3)
# about as many as are sent in that time; a broker that takes connections but no tasks costs no more
_BATCH = 1000


def run_once(ctx: Context) -> bool:
    """Let in tasks of each line whose broker can be reached; those of removed apps stay."""
    with ctx.db.reading() as tx:
        lines = waiting_lines.names(tx, LINE_PREFIX)
    if not lines:
        return False
    apps = {app.app_id: app for app in ctx.celery_apps.all(ctx.db)}
    for line in lines:
        app = apps.get(line.removeprefix(LINE_PREFIX))
        if app is None or not ctx.celery_apps.brokers.reachable(app):
            continue
        now = ctx.now()
        with ctx.db.transaction() as tx:  # hints follow as there are free slots
            found = waiting_lines.let_in_first(tx, line, _BATCH, now)
        ctx.celery_apps.note_reached(app.app_id)
        observe.event("celery.back", app=app.name, tasks=len(found))
    return False
