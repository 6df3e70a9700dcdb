"""What test suites do to a dev server: hold a function's work, start over."""

from .. import observe
from ..storage import functions, testing
from . import pausing
from .context import Context


def pause(ctx: Context, function_id: str) -> None:
    """Hold a function's work until reset(); events go on starting runs, which wait."""
    pausing.pause(ctx, function_id, pausing.HOLD)


def reset(ctx: Context) -> None:
    """Drop events, runs and everything that belongs to them, and resume what is paused.

    A call in flight finishes, and finds its lease gone.
    """
    ctx.committer.run_alone(testing.drop_state)
    with ctx.db.reading() as tx:
        paused = [row["id"] for row in functions.functions(tx) if row["paused"]]
    for function_id in paused:
        pausing.resume(ctx, function_id)
    observe.event("server.reset")
