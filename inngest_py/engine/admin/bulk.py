"""Cancel or rerun many runs: one by one, so that a run that is refused does not stop the others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...domain.errors import InngestPyError
from ...domain.runs.runs import ENDED
from ..runtime.audit import Actor
from ..runtime.context import Context
from ..work.end_run import cancel
from .rerun import rerun


@dataclass(frozen=True, slots=True)
class Done:
    """How many runs were changed, and how many were refused."""

    done: int
    refused: int


def cancel_all(ctx: Context, run_ids: Sequence[str], by: Actor | None = None) -> Done:
    """Cancel runs; those that have ended or are gone are refused."""
    return _each(run_ids, lambda run_id: cancel(ctx, run_id, by) not in ENDED)


def rerun_all(ctx: Context, run_ids: Sequence[str], by: Actor | None = None) -> Done:
    """Rerun runs; those whose event or function is gone are refused."""
    return _each(run_ids, lambda run_id: bool(rerun(ctx, run_id, by=by)))


def _each(run_ids: Sequence[str], move: Callable[[str], bool]) -> Done:
    done = 0
    for run_id in run_ids:
        try:
            done += move(run_id)
        except InngestPyError:  # refused
            continue
    return Done(done, len(run_ids) - done)
