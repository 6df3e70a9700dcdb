"""Crons: start the ticks that are due, on time.

Schedules have whole minutes, so a tick that is planned while this service sleeps cannot be due
before the next minute. The service wakes up then, and at most once per second before.
"""

from datetime import timedelta

from ...storage.catalog import crons as rows
from ..intake import cron_schedules
from ..runtime.context import Context

_MINUTE = timedelta(minutes=1)
_LEAST = timedelta(milliseconds=5)


def run_once(ctx: Context) -> bool:
    """Start the runs of due ticks."""
    with ctx.db.reading() as tx:
        first = rows.first(tx)
    if first is None or first > ctx.now():
        return False
    return cron_schedules.run_due(ctx, cron_schedules.Missed(ctx.tuning.cron_missed))


def delay(ctx: Context, longest: timedelta) -> timedelta:
    """Say how long to wait: until the next minute, `longest` at most."""
    now = ctx.now()
    minute = now.replace(second=0, microsecond=0) + _MINUTE
    return min(longest, max(minute - now, _LEAST))
