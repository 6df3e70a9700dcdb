"""Branches side by side: what they report, and what they have ended with."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import inngest

from .. import internals
from ..internals import ResponseInterrupt, SkipInterrupt, StepResponse

T = TypeVar("T")


@dataclass(slots=True)
class Ended(Generic[T]):
    """How a branch has ended: with a value, or with an error."""

    value: T | None = None
    error: inngest.StepError | None = None

    def result(self) -> T:
        """Return the value. Raises the error."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]


@dataclass(slots=True)
class Branches(Generic[T]):
    """The branches of a group in one request: those that have ended, and what others report."""

    ended: dict[int, Ended[T]] = field(default_factory=dict)
    responses: list[StepResponse] = field(default_factory=list)
    skipped: str | None = None  # a step that is not the one that the request is for
    open: int = 0  # branches that have reported something

    @contextmanager
    def branch(self, place: int) -> Iterator["Branch[T]"]:
        """Run a branch in this block, which ends with done()."""
        made = Branch[T]()
        try:
            with internals.parallel():
                yield made
        except ResponseInterrupt as interrupt:
            self.responses += interrupt.responses
            self.open += 1
        except SkipInterrupt as skip:
            self.skipped = skip.step_id
        except inngest.StepError as error:  # others are not the end of a step: they are raised
            self.ended[place] = Ended(error=error)
        else:
            self.ended[place] = Ended(value=made.value)

    def report(self, *, race: bool) -> None:
        """Raise what the branches report; return if all have ended.

        With `race`, the run goes on as soon as any of the reported steps has ended.
        """
        if self.responses:
            mode = inngest.ParallelMode.RACE if race else inngest.ParallelMode.WAIT
            for response in self.responses:
                response.step.set_parallel_mode(mode)
            raise ResponseInterrupt(self.responses)
        if self.skipped is not None:
            raise SkipInterrupt(self.skipped)


@dataclass(slots=True)
class Branch(Generic[T]):
    """One branch while it runs."""

    value: T | None = None
