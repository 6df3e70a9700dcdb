"""Crons: take the ticks that have come, on time, however long the service sleeps otherwise.

Schedules have whole minutes, so a tick that was planned while this sleeps, by whomever, cannot
come before the next minute: the service wakes then, and asks nobody in between more than once a
second.
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


def pause(ctx: Context, longest: timedelta) -> timedelta:
    """Say how long to wait: to the next minute or tick, `longest` at the most."""
    now = ctx.now()
    minute = now.replace(second=0, microsecond=0) + _MINUTE
    return min(longest, max(minute - now, _LEAST))
