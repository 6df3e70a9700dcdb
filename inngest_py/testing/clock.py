"""The clock of a test."""

from datetime import UTC, datetime, timedelta

from ..domain.errors import Invalid
from ..domain.values import durations
from ..domain.values.times import parse_time
from ..engine.clock import moves
from . import arguments
from .engine import Engine
from .errors import InngestTestError


class Clock:
    """Stands, until the test moves it. What becomes due on the way is done, in order of time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def now(self) -> datetime:
        """The moment at which the clock stands, in UTC."""
        return self._engine.clock.now()

    def advance(
        self,
        by: timedelta | str | None = None,
        *,
        weeks: float = 0,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
    ) -> datetime:
        """Move the clock on, as in `advance(days=3)` or `advance("3d")`; return where it is."""
        amounts = {
            "weeks": weeks,
            "days": days,
            "hours": hours,
            "minutes": minutes,
            "seconds": seconds,
        }
        for name, amount in amounts.items():
            arguments.number("clock.advance", name, amount)
        with self._engine.driving():
            try:
                parts = timedelta(**amounts)
                whole = parts if by is None else _length(by) + parts
                target = self.now + whole
            except (OverflowError, ValueError) as error:
                raise InngestTestError(
                    f"clock.advance: that is no length of time: {error}"
                ) from None
            if whole < timedelta(0):
                raise InngestTestError(f"clock.advance: the clock cannot go back, by {-whole}")
            return self._to(target)

    def to(self, moment: datetime | str) -> datetime:
        """Move the clock to a moment, given as a datetime with a zone or as ISO 8601 text."""
        return self._to(moment_of(moment, "clock.to"))

    def _to(self, target: datetime) -> datetime:
        with self._engine.driving():
            self._engine.settle()
            try:
                self._engine.move(target)
            except Invalid as error:
                raise InngestTestError(f"clock.to: {error.message}") from None
            return self.now

    def next(self) -> datetime:
        """Move the clock to whatever is due next; return where it is."""
        with self._engine.driving():
            self._engine.settle()
            moment = moves.next_moment(self._engine.ctx)
            if moment is None:
                raise InngestTestError(
                    "clock.next: nothing is due later: no run sleeps, waits or retries, and no cron"
                    " ticks"
                )
            return self._to(moment)

    def __repr__(self) -> str:
        return f"<Clock at {self.now.isoformat()}>"


def _length(given: timedelta | str) -> timedelta:
    if isinstance(given, timedelta):
        return given
    if not isinstance(given, str):
        raise InngestTestError(
            f"clock.advance: give a timedelta, text like '3d', or days=…, not {given!r}"
        )
    try:
        return durations.to_timedelta(given)
    except Invalid as error:
        raise InngestTestError(f"clock.advance: {error.message}") from None


def moment_of(given: datetime | str, what: str) -> datetime:
    """Read a moment. Raises InngestTestError, which begins with `what`."""
    if isinstance(given, str):
        try:
            return parse_time(given)
        except Invalid as error:
            raise InngestTestError(f"{what}: {error.message}") from None
    if not isinstance(given, datetime):
        raise InngestTestError(f"{what}: give a datetime or ISO 8601 text, not {given!r}")
    if given.tzinfo is None:
        raise InngestTestError(
            f"{what}: {given!r} has no zone: write datetime(..., tzinfo=UTC), or ISO 8601 text"
        )
    try:
        return given.astimezone(UTC)
    except OverflowError:  # at either end of what a datetime can be
        raise InngestTestError(f"{what}: {given!r} has no time in UTC: name another") from None
