"""Move a virtual clock: from one moment at which something is due to the next.

So each thing happens at its own time: what the end of a sleep schedules before the target happens
before the target, and every tick of a cron has its own moment.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from ...domain.errors import Invalid
from ...storage.catalog import crons, overrides
from ...storage.queue import backlog
from ..admin.limit_overrides import expire
from ..intake.cron_schedules import Missed, run_due
from ..runtime.context import Context
from .virtual import VirtualClock, refuse_too_late

# A jump that is longer has to be confirmed: with a cron that ticks every minute it is half a
# million runs.
FAR = timedelta(days=365)

UNCONFIRMED = "unconfirmed"  # the code of the error that a jump that long gets

Settle = Callable[[], None]


def next_moment(ctx: Context) -> datetime | None:
    """Say when the next thing is due, later than now; None if nothing is."""
    now = ctx.now()
    with ctx.db.reading() as tx:
        found = [each.next_after(tx, now) for each in (backlog, crons, overrides)]
    return min((moment for moment in found if moment is not None), default=None)


def fire(ctx: Context, settle: Settle) -> None:
    """Do what is due at the clock's moment, and what follows from it at the same moment."""
    while run_due(ctx, Missed(ctx.tuning.cron_missed)):
        pass
    expire(ctx)
    settle()


def move(
    ctx: Context,
    clock: VirtualClock,
    target: datetime,
    settle: Settle,
    arrived: Callable[[], None] = lambda: None,
) -> int:
    """Move the clock to `target`; return at how many moments before or at it something was due.

    `settle` works off all items that are due at the clock's moment, and those that they make due
    at it; it returns when nothing runs and nothing is due any more. No lease lapses by a move: the
    clock moves only then. `arrived` is called at each moment before anything is done at it. What
    either raises ends the move where the clock is. Raises Invalid for a target in the clock's past.
    """
    refuse_too_late(target)
    if target < ctx.now():
        clock.set(target)
    moments = 0
    with clock.standing():
        fire(ctx, settle)
        while (moment := next_moment(ctx)) is not None and moment <= target:
            clock.set(moment)
            arrived()
            fire(ctx, settle)
            moments += 1
        clock.set(max(target, clock.now()))
    return moments


def check_target(now: datetime, target: datetime, *, confirmed: bool) -> None:
    """Refuse a target in the past, and a far one that is not confirmed. Raises Invalid."""
    if target < now:
        raise Invalid(
            f"the clock cannot go back: it is at {now:%Y-%m-%dT%H:%M:%SZ}, and"
            f" {target:%Y-%m-%dT%H:%M:%SZ} is before that"
        )
    refuse_too_late(target)
    if target - now > FAR and not confirmed:
        days = round((target - now) / timedelta(days=1))
        raise Invalid(
            f"that is {days} days ahead, more than {FAR.days}: confirm it with --yes"
            ' ("yes": true in a request)',
            code=UNCONFIRMED,
        )
