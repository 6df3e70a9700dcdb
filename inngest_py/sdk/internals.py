"""The parts of the SDK that have no public name: all that `inngest_py.sdk` uses of them.

Written against inngest 0.5. The SDK has no public way to report a step of an opcode that it does
not know, to ask how many attempts there are, or to see which steps have ended.
"""

import contextvars
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from importlib.metadata import version
from typing import Protocol, TypeVar

import inngest

_VERSION = version("inngest")
_DIFFERENT = (
    f"inngest {_VERSION} is not built as inngest_py.sdk expects ({{reason}}): "
    "install inngest 0.5.19, or a newer inngest-py"
)
try:
    from inngest._internal.execution_lib import CallResult
    from inngest._internal.server_lib import Opcode
    from inngest._internal.step_lib import (
        ParsedStepID,
        ResponseInterrupt,
        SkipInterrupt,
        StepInfo,
        StepMemos,
        StepResponse,
        in_parallel,
    )
    from inngest._internal.step_lib.base import StepUserlandInfo
    from inngest._internal.types import EmptySentinel

    try:  # from 0.5.20 on: the step under way, or None
        from inngest._internal.run_context import (  # type: ignore[import-not-found,unused-ignore]
            current_step as _in_step,
        )
    except ImportError:
        from inngest._internal.execution_lib.models import _in_step
except ImportError as error:
    raise ImportError(_DIFFERENT.format(reason=error)) from error

__all__ = [
    "CallResult",
    "EmptySentinel",
    "Note",
    "Op",
    "Opcode",
    "ParsedStepID",
    "ReportedInfo",
    "ResponseInterrupt",
    "SkipInterrupt",
    "StepInfo",
    "StepMemos",
    "StepResponse",
    "client_of",
    "in_parallel",
    "in_step",
    "info",
    "max_attempts",
    "note",
    "note_async",
    "parsed",
    "wait",
    "wait_async",
]

REPLAY_CHECK = "replay-check"  # the job's id in such requests
AnyContext = inngest.Context | inngest.ContextSync
AnyStep = inngest.Step | inngest.StepSync
in_step: contextvars.ContextVar[object] = _in_step  # false outside of steps
T = TypeVar("T")


class Op(Enum):
    """Opcodes that the SDK does not know."""

    WAIT_FOR_SIGNAL = "WaitForSignal"
    GATEWAY = "Gateway"
    DEFER_ADD = "DeferAdd"
    DEFER_ABORT = "DeferAbort"
    RUN_COMPLETE = "RunComplete"


class ReportedInfo(StepInfo):
    """A step as it is reported, with an opcode that the SDK does not know, or with metadata."""

    op: Opcode | Op  # type: ignore[assignment]
    userland: StepUserlandInfo | None = None
    metadata: list[dict[str, object]] | None = None


class UnsupportedSdk(TypeError):
    """The installed version of the SDK lacks something that this helper needs."""


class _Reported(Protocol):
    """What the SDK knows of a step that was reported to it."""

    skip: bool
    output: object

    @property
    def error(self) -> Exception | None:
        """How it has failed for good."""


def _need(holder: object, name: str) -> object:
    found = getattr(holder, name, None)
    if found is None:
        reason = f"{type(holder).__name__}.{name} is missing"
        raise UnsupportedSdk(_DIFFERENT.format(reason=reason))
    return found


def client_of(context: AnyContext) -> inngest.Inngest:
    """Return the client of the context's function."""
    _need(context.step, "_client")
    return context.step._client


def parsed(context: AnyContext, step_id: str) -> ParsedStepID:
    """Count another use of a step's id, as each step does once; return it with its hash."""
    _need(context.step, "_parse_step_id")
    return context.step._parse_step_id(step_id)


def hash_of(step_id: str) -> str:
    """Return the hash of a step's id that is used for the first time."""
    return hashlib.sha1(step_id.encode(), usedforsecurity=False).hexdigest()


def hash_of_next(context: AnyContext, step_id: str) -> str:
    """Return the hash that the next use of a step's id will get; counts no use."""
    _need(context.step, "_step_id_counter")
    used = context.step._step_id_counter._counts.get(step_id, 0)
    return hash_of(f"{step_id}:{used}" if used else step_id)


def max_attempts(context: AnyContext) -> int | None:
    """Return how many attempts the request has; None when the server does not say."""
    _need(context.step, "_execution")
    return context.step._execution._request.ctx.max_attempts


def info(
    step: ParsedStepID,
    op: Opcode | Op,
    *,
    name: str | None = None,
    opts: dict[str, object] | None = None,
) -> ReportedInfo:
    """Make what is reported of a step."""
    return ReportedInfo(
        display_name=step.user_facing,
        id=step.hashed,
        name=name or step.user_facing,
        op=op,
        opts=opts,
        userland=step.userland_info(),
    )


def wait(context: inngest.ContextSync, reported: ReportedInfo) -> object:
    """Let the server do a step; return its result. Raises StepError if it has failed."""
    _need(context.step, "_execution")
    with context.step._execution.report_step(reported) as step:
        return _result(step, reported)


async def wait_async(context: inngest.Context, reported: ReportedInfo) -> object:
    """Do as wait(), in an async function."""
    _need(context.step, "_execution")
    async with await context.step._execution.report_step(reported) as step:
        return _result(step, reported)


@dataclass(frozen=True, slots=True)
class Note:
    """What a step reports that does nothing else: an output, metadata, more opcodes.

    With `at_once`, it is reported also where steps have to be planned first: if two requests report
    it, the first counts. With `always`, it is also the answer to a request for another step.
    """

    output: object = None
    at_once: bool = False
    always: bool = False
    metadata: dict[str, object] | None = None
    more: tuple[ReportedInfo, ...] = ()


def note(context: inngest.ContextSync, step: ParsedStepID, noted: Note) -> object:
    """Run a step that only reports something; return its output as it was stored first."""
    _need(context.step, "_execution")
    reported = info(step, Opcode.STEP_RUN)
    try:
        with context.step._execution.report_step(reported) as found:
            return _noted(found, reported, noted)
    except (ResponseInterrupt, SkipInterrupt) as interrupt:
        raise _at_once(context, interrupt, reported, noted) from None


async def note_async(context: inngest.Context, step: ParsedStepID, noted: Note) -> object:
    """Do as note(), in an async function."""
    _need(context.step, "_execution")
    reported = info(step, Opcode.STEP_RUN)
    try:
        async with await context.step._execution.report_step(reported) as found:
            return _noted(found, reported, noted)
    except (ResponseInterrupt, SkipInterrupt) as interrupt:
        raise _at_once(context, interrupt, reported, noted) from None


def _at_once(
    context: AnyContext, interrupt: BaseException, step: ReportedInfo, noted: Note
) -> BaseException:
    """Report a note in place of planning or skipping it; the server's replay check only asks."""
    may = noted.at_once and context.job_id != REPLAY_CHECK
    planned = may and step.op is Opcode.PLANNED and not in_parallel.get()
    if not planned and not (noted.always and isinstance(interrupt, SkipInterrupt)):
        return interrupt
    step.op = Opcode.STEP_RUN
    return ResponseInterrupt(StepResponse(output=noted.output, step=step))


def _result(step: _Reported, reported: ReportedInfo) -> object:
    if step.skip:
        raise SkipInterrupt(reported.display_name)
    if step.error is not None:
        raise step.error
    if isinstance(step.output, EmptySentinel):
        raise UnsupportedSdk(_DIFFERENT.format(reason=f"{reported.op.value} has no result"))
    return step.output


def _noted(step: _Reported, reported: ReportedInfo, noted: Note) -> object:
    if step.skip or step.error is not None or not isinstance(step.output, EmptySentinel):
        return _result(step, reported)
    # not before: a step that is only planned would report it, too
    reported.metadata = None if noted.metadata is None else [noted.metadata]
    first = StepResponse(output=noted.output, step=reported)
    raise ResponseInterrupt([first, *(StepResponse(step=one) for one in noted.more)])


@contextmanager
def parallel() -> Iterator[None]:
    """Let the steps of this block be planned and not run, as in `ctx.group.parallel`."""
    token = in_parallel.set(True)
    try:
        yield
    finally:
        in_parallel.reset(token)


def stored(context: AnyContext, step: ParsedStepID) -> object:
    """Return the stored output of a step that reports only something; None if it has none."""
    _need(context.step, "_execution")
    memos = context.step._execution._memos  # type: ignore[union-attr]
    found = memos._memos.get(step.hashed)
    return None if found is None else found.data


@dataclass(slots=True)
class Watched:
    """The steps that a block of code has asked for; `last` is where the last of them ended."""

    last: int = -1


@contextmanager
def watched(context: AnyContext) -> Iterator[Watched]:
    """Note the places of steps in the order in which the run's steps have ended."""
    _need(context.step, "_execution")
    execution, found = context.step._execution, Watched()
    places = {name: place for place, name in enumerate(execution._request.ctx.stack.stack or [])}
    report = execution.report_step

    def note(reported: StepInfo) -> object:
        found.last = max(found.last, places.get(reported.id, len(places)))
        return report(reported)

    execution.report_step = note  # type: ignore[assignment,method-assign]
    try:
        yield found
    finally:
        execution.report_step = report  # type: ignore[method-assign]


def is_targeted(context: AnyContext) -> bool:
    """Say whether the request is for one step, and others are only passed."""
    return context.step._target_hashed_id is not None


class Beyond(BaseException):
    """A step was reached that has no result, in a block that may only repeat what was done."""


@contextmanager
def only_stored(context: AnyContext) -> Iterator[None]:
    """Let only steps with results pass in this block; others raise Beyond."""
    _need(context.step, "_execution")
    execution = context.step._execution
    report, memos = execution.report_step, execution._memos  # type: ignore[union-attr]

    def check(reported: StepInfo) -> object:
        if reported.id not in (*memos._memos, context.step._target_hashed_id):
            raise Beyond
        return report(reported)

    execution.report_step = check  # type: ignore[assignment,method-assign]
    try:
        yield
    finally:
        execution.report_step = report  # type: ignore[method-assign]
