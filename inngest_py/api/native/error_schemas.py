"""The schemas of error groups: queries, bodies and answers."""

from marshmallow import fields, validate

from ...domain.reports.error_groups import ErrorState
from . import openapi
from .openapi import Moment

STATES = [state.value for state in ErrorState]
ORDERS = ("last_seen", "runs", "first_seen")
_MOST_TEXT = 200


def _known(about: str, example: str | None = None) -> fields.String:
    """Describe a text that is always there."""
    more = {} if example is None else {"example": example}
    return fields.String(required=True, metadata={"description": about} | more)


def _count(about: str) -> fields.Integer:
    return fields.Integer(required=True, metadata={"description": about})


def _or_null(about: str) -> fields.String:
    """Describe a time or a text that may be null."""
    return fields.String(required=True, allow_none=True, metadata={"description": about})


class ErrorsQuery(openapi.Body):
    """Which error groups to list."""

    function = fields.String(metadata={"description": "a function's slug or id"})
    app = fields.String(metadata={"description": "an app's name or id"})
    state = fields.List(fields.String(validate=validate.OneOf(STATES)))
    since = Moment(metadata={"description": "only groups with a run that failed at it or later"})
    until = Moment(metadata={"description": "only groups with a run that failed before it"})
    text = fields.String(
        validate=validate.Length(1, _MOST_TEXT),
        metadata={"description": "message, name, step or function hold it, ignoring case"},
    )
    order = fields.String(load_default="last_seen", validate=validate.OneOf(ORDERS))
    cursor = fields.String(metadata={"description": "the last answer's `cursor`"})
    limit = fields.Integer(load_default=20, validate=validate.Range(1, 100))


class ErrorBody(openapi.Body):
    """The state that an operator gives an error group."""

    state = fields.String(required=True, validate=validate.OneOf(STATES))
    muted_until = Moment(
        allow_none=True, metadata={"description": "for muted; null or left out: for ever"}
    )


class ErrorSummary(openapi.Body):
    """An error group: the runs that failed for one cause."""

    id = _known("stays the same for the same cause")
    function = _known("the function's slug")
    function_id = fields.String(required=True)
    app = fields.String(required=True)
    step = _or_null("the step that failed, without a loop's number; null: the function itself")
    name = _known("the exception's name", "OutOfStock")
    message = _known("that of the run that failed last")
    cause = _known("the message without numbers, ids, quotes and addresses")
    runs = _count("how many runs failed, whatever their attempts")
    first_seen = fields.String(required=True)
    last_seen = fields.String(required=True)
    latest_run_id = fields.String(required=True)
    state = fields.String(required=True, validate=validate.OneOf(STATES))
    muted_until = _or_null("null for a group that is not muted, or muted for ever")
    resolved_at = _or_null("when an operator said that it is resolved")
    regressed_at = _or_null("when a run failed that had started after the group was resolved")
    changed_by = _or_null("who gave it its state; null: nobody, or a failure opened it again")
    is_new_since_deploy = fields.Boolean(
        required=True, metadata={"description": "first seen after its app's last sync"}
    )
    hours = fields.List(
        fields.Integer(),
        required=True,
        metadata={"description": "failed runs of each of the last 24 hours, the newest last"},
    )


class ErrorList(openapi.Body):
    """A page of error groups; `cursor` asks for the next one."""

    data = fields.List(fields.Nested(ErrorSummary), required=True)
    cursor = fields.String(required=True, allow_none=True)
    has_more = fields.Boolean(required=True)


class SampleRun(openapi.Body):
    """A run of a group."""

    id = fields.String(required=True)
    status = fields.String(required=True)
    queued_at = fields.String(required=True)
    ended_at = fields.String(required=True, allow_none=True)


class ErrorVersionShown(openapi.Body):
    """A version of the app at which runs failed; texts are empty where nothing is known."""

    app_version = fields.String(required=True)
    sdk = fields.String(required=True)
    sync = _known("the beginning of the checksum of the app's last sync")
    runs = fields.Integer(required=True)
    first_seen = fields.String(required=True)
    last_seen = fields.String(required=True)


class ErrorShown(ErrorSummary):
    """An error group with all that belongs to it."""

    frames = fields.List(
        fields.String(),
        required=True,
        metadata={"description": "of the app's own code, innermost first", "example": ["a.py:f"]},
    )
    days = fields.List(
        fields.Integer(),
        required=True,
        metadata={"description": "failed runs of each of the last 7 days, the newest last"},
    )
    versions = fields.List(fields.Nested(ErrorVersionShown), required=True)
    sample_runs = fields.List(fields.Nested(SampleRun), required=True)
    still_failed = _count("runs without a rerun, of the newest 10,000")


class ErrorAnswer(openapi.Body):
    """One error group."""

    data = fields.Nested(ErrorShown, required=True)


class RetryingQuery(openapi.Body):
    """Of which functions to say why their runs are tried again; left out: of all."""

    function = fields.String(metadata={"description": "a function's slug or id"})
    app = fields.String(metadata={"description": "an app's name"})


class RetryingShown(openapi.Body):
    """Runs of a function that have failed attempts for one cause, and will be tried again."""

    error_id = _known("the id of the error group in which they will be if they fail")
    state = fields.String(
        required=True,
        allow_none=True,
        validate=validate.OneOf(STATES),
        metadata={"description": "the error group's; null: there is none yet"},
    )
    function = _known("the function's slug")
    function_id = fields.String(required=True)
    app = fields.String(required=True)
    step = _or_null("the step that failed, without a loop's number; null: the function itself")
    name = _known("the exception's name", "ConnectionError")
    message = _known("that of the newest run's last failed attempt")
    runs = _count("how many runs")
    next_attempt_at = _known("when the first of the next attempts is due")
    latest_run_id = _known("the newest of the runs")


class RetryingList(openapi.Body):
    """Why runs are tried again, the cause of most runs first."""

    data = fields.List(fields.Nested(RetryingShown), required=True)
    has_more = fields.Boolean(
        required=True, metadata={"description": "only the newest 500 runs are counted"}
    )
