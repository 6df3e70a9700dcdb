"""What test suites do to a dev server: pause a function, set limits of its runs, reset."""

from dataclasses import replace

from ... import observe
from ...domain.limits import NORMAL
from ...storage.queries import function_list
from ...storage.schema import testing
from ..flow.arrivals import HOLD
from ..runtime.context import Context
from . import pause_function


def pause(ctx: Context, function_id: str) -> None:
    """Pause a function until reset(); events still start runs, which wait."""
    pause_function.pause(ctx, function_id, HOLD)


def limit_runs(ctx: Context, function: str, name: str, most: int | None) -> None:
    """Set a limit of the runs of a function, given by id or slug; `name` is a field of RunLimits.

    None restores the normal limit. It applies in this process until reset(). Raises NotFound.
    """
    with ctx.db.reading() as tx:
        function_id = pause_function.find(tx, function)
    before = ctx.run_limits.get(function_id, NORMAL)
    value = getattr(NORMAL, name) if most is None else most
    ctx.run_limits[function_id] = replace(before, **{name: value})


def reset(ctx: Context) -> None:
    """Delete events, runs and everything that belongs to them, and resume paused functions.

    A request in flight finishes, and its answer is dropped: its lease is gone.
    """
    ctx.run_limits.clear()
    ctx.committer.run_alone(testing.drop_state)
    with ctx.db.reading() as tx:
        paused = [row["id"] for row in function_list.every(tx) if row["paused"]]
    for function_id in paused:
        pause_function.resume(ctx, function_id)
    observe.event("server.reset")
