"""What test suites do to a dev server: hold a function's work, set its limits, start over."""

from dataclasses import replace

from ... import observe
from ...domain.limits import NORMAL
from ...storage.catalog import functions
from ...storage.schema import testing
from ..flow.arrivals import HOLD
from ..runtime.context import Context
from . import pause_function


def pause(ctx: Context, function_id: str) -> None:
    """Hold a function's work until reset(); events go on starting runs, which wait."""
    pause_function.pause(ctx, function_id, HOLD)


def limit_runs(ctx: Context, function: str, name: str, most: int | None) -> None:
    """Set how far runs of a function, given by id or slug, may grow, by a field of RunLimits.

    None takes that back. It holds in this process, until it ends or reset(). Raises NotFound.
    """
    with ctx.db.reading() as tx:
        function_id = pause_function.find(tx, function)
    before = ctx.run_limits.get(function_id, NORMAL)
    value = getattr(NORMAL, name) if most is None else most
    ctx.run_limits[function_id] = replace(before, **{name: value})


def reset(ctx: Context) -> None:
    """Drop events, runs and everything that belongs to them, and resume what is paused.

    A call in flight finishes, and finds its lease gone.
    """
    ctx.run_limits.clear()
    ctx.committer.run_alone(testing.drop_state)
    with ctx.db.reading() as tx:
        paused = [row["id"] for row in functions.functions(tx) if row["paused"]]
    for function_id in paused:
        pause_function.resume(ctx, function_id)
    observe.event("server.reset")
