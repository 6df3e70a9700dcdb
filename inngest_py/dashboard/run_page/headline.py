"""What the page of a run leads with: its failure, its retry, or who cancelled it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ...domain.reply.timeouts import CANCELLATION
from ...domain.reports.spans import FINAL
from ...domain.reports.timeline import Span, SpanStatus
from ...domain.reports.why import Reason, step_label
from ...domain.runs.outputs import ErrorParts
from ...domain.runs.runs import RunStatus

OWN_CODE = "the function's own code"
# the Python SDK's code of an error of a step that its function raised
_RAISED_AGAIN = "step_errored"


class Kind(StrEnum):
    """What has happened to the run."""

    FAILED = "failed"
    RETRYING = "retrying"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Headline:
    """The first sentence of the page.

    `span` is the part of the run that it is about. `attempt` counts from 1, up to `attempts`; both
    are None where nothing was tried. `at` is when it happened, or when the retry comes. `cause`
    says what cancelled the run (see cancellation_entry), or which run held a singleton's key.
    """

    kind: Kind
    span: Span | None
    at: datetime | None
    message: str = ""
    attempt: int | None = None
    attempts: int | None = None
    cause: "Cause | None" = None

    @property
    def where(self) -> str:
        """Name the step; without one it was the function's own code."""
        return OWN_CODE if self.span is None or self.span.step is None else self.span.name

    @property
    def gave_up(self) -> bool:
        """Whether it failed before its last attempt: the error was one that is not retried."""
        if self.kind is not Kind.FAILED or self.attempt is None or self.attempts is None:
            return False
        return self.attempt < self.attempts


@dataclass(frozen=True, slots=True)
class Cause:
    """Who or what cancelled a run; all are None when only the message says it."""

    by: str | None = None
    event_id: str | None = None
    event_name: str | None = None
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What a headline is made of; `error` is that of a failed run, `cancelled` says why one was.

    Both are None if that is not known.
    """

    root: Span
    status: RunStatus
    attempts: int
    error: ErrorParts | None
    error_code: str | None
    cancelled: str | None
    skip_reason: str | None
    existing_run_id: str | None


def headline(facts: Facts, reasons: Sequence[Reason]) -> Headline | None:
    """Say what the page leads with; None for a run that is well.

    `reasons` are what a run that has not ended waits for.
    """
    if facts.status is RunStatus.FAILED:
        return _failed(facts)
    if facts.status is RunStatus.CANCELLED:
        return _cancelled(facts.root, facts.cancelled)
    if facts.status is RunStatus.SKIPPED:
        said, cause = facts.skip_reason or "", Cause(run_id=facts.existing_run_id)
        return Headline(Kind.SKIPPED, None, facts.root.queued_at, said, cause=cause)
    found = next((one for one in reasons if one.kind == "retry"), None)
    return None if found is None else _retrying(facts.root, found)


def _failed(facts: Facts) -> Headline:
    span = failed_part(facts.root, facts.error_code)
    at = facts.root.ended_at
    if span is None:
        return Headline(Kind.FAILED, None, at, _message(facts.error))
    return Headline(
        Kind.FAILED,
        span,
        at,
        _message(facts.error),
        span.attempts + 1,
        max(facts.attempts, span.attempts + 1),
    )


def _message(error: ErrorParts | None) -> str:
    if error is None:
        return ""
    return f"{error['name']}: {error['message']}" if error["message"] else error["name"]


def failed_part(root: Span, error_code: str | None) -> Span | None:
    """Find the part whose failure ended the run.

    A function that fails right after its step has failed, or that says that it raised the step's
    error, fails for the step. None if no part has failed, such as a run that nobody could call.
    """
    final = next((one for one in root.children if one.type == FINAL), None)
    steps = [one for one in root.children if one.step is not None and one.ended_at is not None]
    failed = [one for one in steps if one.status is SpanStatus.FAILED]
    if failed:
        last = max(failed, key=_end)
        if final is None or error_code == _RAISED_AGAIN or last is max(steps, key=_end):
            return last
    bad = [one for one in root.children if one.status is SpanStatus.FAILED]
    return final if final in bad else (bad[-1] if bad else None)


def retried_part(root: Span) -> Span | None:
    """Find the step that is tried again later; None if there is none."""
    return next((one for one in root.children if one.attempts and _is_queued(one)), None)


def _is_queued(span: Span) -> bool:
    return span.status is SpanStatus.QUEUED and span.ended_at is None


def _end(span: Span) -> datetime:
    assert span.ended_at is not None
    return span.ended_at


def _retrying(root: Span, reason: Reason) -> Headline:
    attempt, attempts = reason.details["attempt"], reason.details["attempts"]
    assert isinstance(attempt, int)
    assert isinstance(attempts, int)
    queued = [one for one in root.children if one.attempts == attempt and _is_queued(one)]
    label = reason.details["step"]
    span = next((one for one in queued if label == step_label(one.name, one.step)), None)
    span = span or next((one for one in queued if one.step is None), None)
    message = str(reason.details["error"] or "")
    return Headline(Kind.RETRYING, span, reason.until, message, attempt + 1, attempts)


def cancellation(root: Span) -> Span | None:
    """Find the entry that says why the run was cancelled; None if there is none."""
    return next((one for one in root.children if one.name == CANCELLATION), None)


def _cancelled(root: Span, message: str | None) -> Headline:
    span = cancellation(root)
    info = {} if span is None else span.info or {}
    cause = Cause(*[_text(info.get(name)) for name in ("by", "eventID", "eventName", "runID")])
    said = "" if cause != Cause() else message or ""
    return Headline(Kind.CANCELLED, span, root.ended_at, said, cause=cause)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
