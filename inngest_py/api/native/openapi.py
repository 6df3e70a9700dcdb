"""The blueprint of documented routes, and the schemas that describe their bodies and answers."""

from datetime import UTC, datetime
from typing import Any

from flask import Request
from flask_smorest import Blueprint
from marshmallow import Schema, fields, validate
from webargs import missing
from webargs.flaskparser import FlaskParser

from ...domain.runs.phases import Phase
from ...domain.runs.runs import RunStatus
from ...domain.values import canonical

STATUSES = [status.value for status in RunStatus]
_SCHEDULE = {"description": "the schedule that started it, else null"}
_REPEATS = {"description": "the run that this one repeats, else null"}
_MADE_BY = {"description": "the process or connected worker that made it, if known"}
_OF_LIVE = {"description": "what a run that has not ended does, or waits for", "enum": list(Phase)}


class _Parser(FlaskParser):
    """Reads JSON as all other routes do; the standard library's reader recurses too deeply."""

    DEFAULT_VALIDATION_STATUS = 400

    def load_json(self, req: Request, schema: Schema) -> Any:
        body = req.get_data()
        read = getattr(schema, "read_json", canonical.loads)  # a body may be nested deeper
        return read(body) if body.strip() else missing


PARSER = _Parser()


def documented(name: str, prefix: str = "/api/v1") -> Blueprint:
    """Make a blueprint whose routes are in the OpenAPI document."""
    made = Blueprint(name, __name__, url_prefix=prefix)
    made.ARGUMENTS_PARSER = PARSER
    return made


class Moment(fields.AwareDateTime):
    """A time with its offset, as UTC."""

    default_error_messages = dict.fromkeys(
        ("invalid", "invalid_awareness", "format"),
        "must be a time with its offset, such as 2026-11-30T02:14Z",
    )

    def _deserialize(self, value: Any, attr: str | None, data: Any, **more: Any) -> datetime:
        try:
            return super()._deserialize(value, attr, data, **more).astimezone(UTC)
        except OverflowError:  # in the year 1 or 9999, moved out of the calendar by its offset
            raise self.make_error("invalid", input=value, obj_type=self.OBJ_TYPE) from None


def _text(**more: Any) -> fields.String:
    return fields.String(**more)


def _time(**more: Any) -> fields.String:
    return fields.String(metadata={"format": "date-time"}, **more)


def _ulid(**more: Any) -> fields.String:
    metadata = {"example": "01JD0000000000000000000000", "description": "a ULID"}
    return fields.String(metadata=metadata, **more)


class Body(Schema):
    """A body, with the error for one that is not an object."""

    error_messages = {"type": "must be a JSON object", "unknown": "is not known here: remove it"}


class Problem(Schema):
    """What went wrong, and in which field."""

    error = _text(required=True)
    status = fields.Integer(required=True)
    code = _text()
    data = fields.Dict(required=True, allow_none=True)


class LastRerun(Schema):
    """The newest run that repeats a run; `operation_id` names what made it, or is null."""

    id = _ulid(required=True)
    status = _text(required=True, validate=validate.OneOf(STATUSES))
    operation_id = _text(required=True, allow_none=True)


class RunError(Schema):
    """Why a run failed, or its last attempt; `error_id` is that of `/v1/errors`, or null."""

    name = _text(required=True)
    message = _text(required=True)
    error_id = _text(required=True, allow_none=True)


class RunSummary(Schema):
    """A run in a list."""

    id = _ulid(required=True)
    status = _text(required=True, validate=validate.OneOf(STATUSES))
    phase = _text(required=True, allow_none=True, metadata=_OF_LIVE)
    function = _text(required=True)
    app = _text(required=True)
    event = _text(required=True, allow_none=True)
    event_id = _ulid(required=True)
    queued_at = _time(required=True)
    started_at = _time(required=True, allow_none=True)
    ended_at = _time(required=True, allow_none=True)
    cron = _text(required=True, allow_none=True, metadata=_SCHEDULE)
    skip_reason = _text(required=True, allow_none=True)
    original_run_id = _text(required=True, allow_none=True, metadata=_REPEATS)
    last_rerun = fields.Nested(LastRerun, required=True, allow_none=True)
    error = fields.Nested(RunError, required=True, allow_none=True)


class EventShown(Schema):
    """An event, as `/v1/events/{id}` shows it."""

    internal_id = _ulid(required=True)
    account_id = _text(required=True)
    environment_id = _text(required=True)
    source = _text(required=True)
    source_id = _text(required=True, allow_none=True)
    received_at = _time(required=True)
    id = _text(required=True)
    name = _text(required=True)
    data = fields.Dict(required=True)
    ts = fields.Integer(required=True)
    user = fields.Dict()
    v = _text()


class StepShown(Schema):
    """A step's stored result."""

    id = _text(required=True)
    name = _text(required=True, allow_none=True)
    op = _text(required=True, allow_none=True)
    output = fields.Raw(required=True, allow_none=True)
    stored_at = _time(required=True)


class AttemptShown(Schema):
    """One attempt; `answer_headers` are those of one that failed, without secrets."""

    step = _text(required=True, allow_none=True)
    name = _text(required=True, allow_none=True)
    op = _text(required=True, allow_none=True)
    attempt = fields.Integer(required=True)
    status = _text(required=True)
    queued_at = _time(required=True, allow_none=True)
    started_at = _time(required=True, allow_none=True)
    ended_at = _time(required=True, allow_none=True)
    http_status = fields.Integer(required=True, allow_none=True)
    worker = _text(required=True, allow_none=True, metadata=_MADE_BY)
    error = fields.Raw(required=True, allow_none=True)
    info = fields.Raw(required=True, allow_none=True)
    answer_headers = fields.Dict(required=True, allow_none=True)
    task = fields.Dict(
        required=True,
        allow_none=True,
        metadata={"description": "of a Celery task: id, worker, times and Celery's own retries"},
    )


class Job(Schema):
    """A queue item of a run."""

    JobID = _ulid(required=True)
    at = _time(required=True)
    position = fields.Integer(required=True)
    kind = _text(required=True)
    attempt = fields.Integer(required=True)
    Raw = fields.Dict(required=True)


class RunShown(RunSummary):
    """A run with everything that belongs to it."""

    output = fields.Raw(required=True, allow_none=True)
    # the base class has a field `event`, too: there it is the event's name
    event = fields.Nested(EventShown, required=True, allow_none=True)  # type: ignore[assignment]
    steps = fields.List(fields.Nested(StepShown), required=True)
    attempts = fields.List(fields.Nested(AttemptShown), required=True)
    queued = fields.List(fields.Nested(Job), required=True)
    operation = fields.Dict(
        required=True,
        allow_none=True,
        metadata={"description": "the operation that made it: id and name; else null"},
    )


class RunAnswer(Schema):
    """One run."""

    data = fields.Nested(RunShown, required=True)


class Cancelled(Schema):
    """A cancelled run, with the status that it had before."""

    id = _ulid(required=True)
    was = _text(required=True, validate=validate.OneOf(STATUSES))


class CancelAnswer(Schema):
    """The answer to a cancellation."""

    data = fields.Nested(Cancelled, required=True)


class EventBody(Schema):
    """An event to send."""

    name = _text(required=True, validate=validate.Length(1), metadata={"example": "shop/order"})
    data = fields.Dict(allow_none=True)
    user = fields.Dict(allow_none=True)
    id = _text(allow_none=True, metadata={"description": "starts each function once in 24 h"})
    ts = fields.Integer(allow_none=True, metadata={"description": "Unix milliseconds"})
    v = _text(allow_none=True)
    meta = fields.Dict(allow_none=True)


EVENTS_BODY = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {"oneOf": [EventBody, {"type": "array", "items": EventBody}]}
        }
    },
}


class Ids(Schema):
    """The internal ids of accepted events, in their order."""

    ids = fields.List(_ulid(), required=True)


class EventsAnswer(Schema):
    """What was accepted."""

    data = fields.Nested(Ids, required=True)


class FunctionBody(Body):
    """A function described in JSON; the whole configuration of an SDK's function is accepted."""

    class Meta:
        """Unknown fields are kept: they are validated as an SDK's payload is."""

        unknown = "include"

    app = _text(required=True, validate=validate.Length(1, 255))
    name = _text(required=True, validate=validate.Length(1, 255))
    url = _text(
        validate=validate.Length(1, 2048),
        metadata={"description": "where it is served; required if `steps` is left out"},
    )


class FunctionShown(Schema):
    """A function."""

    internal_id = _text(required=True)
    env_id = _text(required=True)
    app_id = _text(required=True)
    id = _text(required=True, metadata={"description": "the slug"})
    name = _text(required=True)
    config = fields.Dict(required=True)
    created_at = _time(required=True)
    archived_at = _time(required=True, allow_none=True)
    paused = fields.Boolean(required=True)
    paused_at = _time(required=True, allow_none=True)
    paused_events = _text(
        required=True,
        allow_none=True,
        metadata={"description": "what becomes of new events while it is paused: skip or hold"},
    )
    limits = fields.Dict(
        required=True,
        allow_none=True,
        metadata={"description": "what overrides the registered limits; `config` is in force"},
    )


class FunctionList(Schema):
    """Functions."""

    data = fields.List(fields.Nested(FunctionShown), required=True)


def _any(name: str, example: Any) -> fields.Raw:
    """Describe a field that the domain checks."""
    return fields.Raw(data_key=name, attribute=name, allow_none=True, metadata={"example": example})


class LimitsBody(Body):
    """Limits to override, in the shapes of a registration; null lifts one."""

    class Meta:
        """Every field is checked as a registration's is."""

        unknown = "include"

    concurrency = _any("concurrency", 10)
    throttle = _any("throttle", {"limit": 5, "period": "1m"})
    rate_limit = _any("rateLimit", {"limit": 5, "period": "1m"})
    backoff = _any("backoff", {"initial": "5s", "factor": 2, "maximum": "10m", "jitter": 0.2})
    expires_in = _any("expiresIn", "2h")
    expires_at = _any("expiresAt", "2027-01-31T12:00:00Z")
    by = _any("by", "who asks, for the record")


class LimitsShown(Schema):
    """A function's limits; `override` is null when nothing overrides them."""

    id = _text(required=True, metadata={"description": "the slug"})
    internal_id = _text(required=True)
    configured = fields.Dict(required=True)
    override = fields.Dict(required=True, allow_none=True)
    effective = fields.Dict(required=True)


class LimitsAnswer(Schema):
    """A function's limits."""

    data = fields.Nested(LimitsShown, required=True)


class Reason(Schema):
    """One reason in words, with the fields of its kind in `details`."""

    kind = _text(required=True, metadata={"example": "concurrency"})
    text = _text(required=True)
    since = _time(required=True, allow_none=True)
    until = _time(required=True, allow_none=True)
    details = fields.Dict(required=True)


class Why(Schema):
    """Why a run or an event waits."""

    id = _ulid(required=True)
    status = _text(required=True)
    phase = _text(required=True, allow_none=True, metadata=_OF_LIVE)
    reasons = fields.List(fields.Nested(Reason), required=True)
    has_more = fields.Boolean(required=True)


class WhyAnswer(Schema):
    """Why a run or an event waits."""

    data = fields.Nested(Why, required=True)


class PauseBody(Body):
    """What becomes of new events while a function is paused.

    `skip`: their runs are recorded as skipped. `hold`: their runs wait until it is resumed.
    """

    events = _text(load_default="skip", validate=validate.OneOf(["skip", "hold"]))


class FunctionShownAnswer(Schema):
    """One function."""

    data = fields.Nested(FunctionShown, required=True)


class FunctionKey(Schema):
    """A function's id and slug."""

    id = _text(required=True)
    slug = _text(required=True)


class FunctionAnswer(Schema):
    """What was registered."""

    data = fields.Nested(FunctionKey, required=True)
