"""Compensation (saga): steps that undo what was done, when the function fails for good."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import ParamSpec, Self, cast

import inngest

from .. import internals, json_values
from ..internals import AnyContext, Beyond, Note
from .arguments import check_context, check_name

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class _Undo:
    step_id: str
    call: Callable[[], object]


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why the function has failed; stored, so that it stays failed when its code runs again."""

    name: str
    message: str

    @classmethod
    def of(cls, error: Exception) -> "_Failure":
        if isinstance(error, inngest.StepError):
            return cls(error.name, error.message)
        return cls(type(error).__name__, str(error))

    @classmethod
    def read(cls, stored: object) -> "_Failure":
        found = stored if isinstance(stored, dict) else {}
        return cls(str(found.get("name")), str(found.get("message")))

    def stored(self) -> dict[str, str]:
        return {"name": self.name, "message": self.message}


class Compensation:
    """Undo steps of a block of code: `with` in blocking functions, `async with` in async ones."""

    def __init__(self, ctx: AnyContext, step_id: str) -> None:
        """Run nothing yet."""
        self._ctx = ctx
        self._undos: list[_Undo] = []
        self._step = internals.parsed(ctx, step_id)
        self._failed = internals.stored(ctx, self._step) is not None
        self._guard: AbstractContextManager[None] = (
            internals.only_stored(ctx) if self._failed else nullcontext()
        )

    def add(
        self, step_id: str, undo: Callable[P, object], *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Undo with this call, as a step, if the function fails. The last added is undone first.

        In an async function, `undo` may be async. Raises ValueError or TypeError.
        """
        name = check_name("step_id", step_id)
        if not callable(undo):
            raise TypeError(f"undo: give a function, not {undo!r}")
        self._undos.append(_Undo(name, lambda: undo(*args, **kwargs)))

    # --- blocking

    def __enter__(self) -> Self:
        """Begin the block."""
        if not isinstance(self._ctx, inngest.ContextSync):
            raise TypeError("compensate: write `async with` in an async function")
        self._guard.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Undo if the function has failed for good, then raise its error."""
        self._guard.__exit__(None, None, None)
        if not self._is_over(error):
            return
        ctx = cast("inngest.ContextSync", self._ctx)
        failure = _Failure.read(internals.note(ctx, self._step, self._note(error)))
        lost = []
        for undo in reversed(self._undos):
            try:
                result = ctx.step.run(undo.step_id, self._run, undo)
            except inngest.StepError as failed:
                result = {"failed": failed.message}
            if "failed" in result:
                lost.append(f'"{undo.step_id}" failed: {result["failed"]}')
        raise _final(failure, lost) from error

    def _run(self, undo: _Undo) -> dict[str, object]:
        try:
            return _done(undo, undo.call())
        except inngest.NonRetriableError as error:
            return {"failed": str(error)}  # raised on, it would end the run before other undos
        except inngest.RetryAfterError as error:
            return self._retry(error)

    # --- async

    async def __aenter__(self) -> Self:
        """Begin the block."""
        if not isinstance(self._ctx, inngest.Context):
            raise TypeError("compensate: write `with` in a blocking function")
        self._guard.__enter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Undo if the function has failed for good, then raise its error."""
        self._guard.__exit__(None, None, None)
        if not self._is_over(error):
            return
        ctx = cast("inngest.Context", self._ctx)
        failure = _Failure.read(await internals.note_async(ctx, self._step, self._note(error)))
        lost = []
        for undo in reversed(self._undos):
            try:
                result = await ctx.step.run(undo.step_id, self._run_async, undo)
            except inngest.StepError as failed:
                result = {"failed": failed.message}
            if "failed" in result:
                lost.append(f'"{undo.step_id}" failed: {result["failed"]}')
        raise _final(failure, lost) from error

    async def _run_async(self, undo: _Undo) -> dict[str, object]:
        try:
            found = undo.call()
            return _done(undo, await found if isinstance(found, Awaitable) else found)
        except inngest.NonRetriableError as error:
            return {"failed": str(error)}
        except inngest.RetryAfterError as error:
            return self._retry(error)

    # --- both

    def _retry(self, error: inngest.RetryAfterError) -> dict[str, object]:
        if self._is_last():
            return {"failed": str(error)}
        raise error

    def _is_last(self) -> bool:
        most = internals.max_attempts(self._ctx)
        return most is not None and self._ctx.attempt + 1 >= most

    def _is_over(self, error: BaseException | None) -> bool:
        """Say whether the function has failed for good: now, or in an earlier request."""
        if self._failed:
            return error is None or isinstance(error, Exception | Beyond)
        if not isinstance(error, Exception):
            return False  # no error, or a step that is reported
        final = isinstance(error, inngest.StepError | inngest.NonRetriableError)
        return final or self._is_last()

    def _note(self, error: BaseException | None) -> Note:
        failure = _Failure.of(error) if isinstance(error, Exception) else _Failure("Error", "")
        # an error of a step that was planned comes in a request for that step
        always = not isinstance(error, inngest.StepError | Beyond | None)
        return Note(failure.stored(), at_once=True, always=always)


def _done(undo: _Undo, result: object) -> dict[str, object]:
    json_values.check_result(undo.step_id, result)
    return {"result": result}


def _final(failure: _Failure, lost: list[str]) -> inngest.StepError:
    """Make the error that the run ends with: its own, and what could not be undone."""
    undone = "".join(f"; undo step {text}" for text in lost)
    return inngest.StepError(failure.message + undone, failure.name, None)


def compensate(ctx: AnyContext, step_id: str = "failure") -> Compensation:
    """Undo steps in reverse order when the code of a `with` block fails for good.

    That is: a step has used its attempts, NonRetriableError was raised, or the function's code
    raised another error at its last attempt; not each attempt before. Each undo is a step, with the
    attempts of a step; if it fails for good, the others are run all the same, and the run's error
    names it. The failure is stored as the step `step_id` before the first undo. A run that is
    cancelled undoes nothing: nobody calls its code any more. Raises ValueError or TypeError.
    """
    check_context(ctx)
    return Compensation(ctx, check_name("step_id", step_id))
