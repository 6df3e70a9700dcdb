"""A run, as a test sees it. Each look reads it anew, after all that is due has been done."""

from datetime import datetime, timedelta

from sqlalchemy import RowMapping

from ..domain.runs.runs import ENDED, RunStatus
from ..domain.values import canonical
from ..engine.clock import moves
from ..storage.queries import run_lookups, timeline_rows
from ..storage.queries.run_columns import WITH_OUTPUT
from . import arguments, waiting
from .engine import Engine
from .errors import InngestTestError, NotCompleted, StillWaits
from .steps import Error, Json, Steps, error_of, steps_of

# beyond the longest sleep, of 366 days
_LONGEST_SKIP = timedelta(days=800)


class Run:
    """A run of a function. `function` is the function's full id."""

    def __init__(self, engine: Engine, run_id: str, function: str) -> None:
        self._engine = engine
        self.id = run_id
        self.function = function

    @property
    def status(self) -> str:
        """One of queued, running, completed, failed, cancelled and skipped."""
        return str(self._row()["status"])

    @property
    def ended_at(self) -> datetime | None:
        """When it ended, by the test's clock; None while it has not."""
        found: datetime | None = self._row()["ended_at"]
        return found

    @property
    def result(self) -> Json:
        """What the function returned. Raises NotCompleted, which says why there is nothing."""
        row = self._row()
        if row["status"] == RunStatus.COMPLETED:
            return None if row["output"] is None else canonical.loads(row["output"])
        error = self.error
        if error is not None:
            raise NotCompleted(f"{self!r} has no result: it failed with {error}\n{error.stack}")
        if row["status"] in ENDED:
            raise NotCompleted(f"{self!r} has no result: it was {row['status']}")
        raise NotCompleted(f"{self!r} has no result yet. {self._advice()}")

    @property
    def error(self) -> Error | None:
        """The error that the run failed with; None if it has not failed."""
        row = self._row()
        if row["status"] != RunStatus.FAILED:
            return None
        return error_of("null" if row["output"] is None else row["output"])

    @property
    def steps(self) -> Steps:
        """Its steps by their ids, in the order in which they were met."""
        self._engine.settle()
        with self._engine.db.reading() as tx:
            tried = timeline_rows.attempts_of(tx, self.id)
            stored = timeline_rows.steps_of(tx, self.id)
            return steps_of(tried, stored, timeline_rows.queued_for(tx, self.id))

    def wait(self, *, skip_time: bool = False) -> "Run":
        """Go on until the run has ended; return it.

        The clock moves over the times between the attempts of a step that fails. Over sleeps and
        waits it moves only with `skip_time`. Raises StillWaits, which says what the run waits for.
        """
        arguments.switch("wait", "skip_time", skip_time)
        self._go_on(skip_time=skip_time)
        if not self._has_ended():
            raise StillWaits(f"{self!r} has not ended. {self._advice()}")
        return self

    def drive(self) -> "Run":
        """Go on as wait() does, as far as that is possible; return the run."""
        self._go_on(skip_time=False)
        return self

    def _go_on(self, *, skip_time: bool) -> None:
        limit = self._engine.clock.now() + _LONGEST_SKIP
        while not self._has_ended():
            with self._engine.driving():  # so that no other thread moves the clock past it
                target = self._next(skip_time=skip_time)
                if target is None:
                    return
                if target > limit:
                    raise InngestTestError(
                        f"{self!r} has not ended within {_LONGEST_SKIP.days} days. {self._advice()}"
                    )
                self._engine.move(target)

    def _next(self, *, skip_time: bool) -> datetime | None:
        ctx = self._engine.ctx
        if skip_time:
            return moves.next_moment(ctx)
        retry_at = waiting.retry_at(list(waiting.reasons(ctx, self.id)))
        return None if retry_at is None else max(retry_at, ctx.now())

    def _has_ended(self) -> bool:
        return self._row()["status"] in ENDED

    def _advice(self) -> str:
        ctx = self._engine.ctx
        return waiting.advice(list(waiting.reasons(ctx, self.id)), ctx.now())

    def _row(self) -> RowMapping:
        self._engine.settle()
        with self._engine.db.reading() as tx:
            row = run_lookups.get(tx, self.id, WITH_OUTPUT)
        if row is None:
            raise InngestTestError(f"{self!r} is not one of this test's runs")
        return row

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<Run {self.id} of {self.function}>"
