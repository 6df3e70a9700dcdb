"""The settings of a Celery task as a schema, for the OpenAPI document and for editors.

It describes names and shapes. domain/functions/task_settings.py checks the values, for the API, the
command line and the config file alike.
"""

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from ...domain.functions.workflow_settings import MOST_JSON_LEVELS
from ...domain.values import canonical
from . import openapi

Field = fields.Field[Any]


def _about(description: str, example: object = None) -> dict[str, object]:
    return {"description": description} | ({} if example is None else {"example": example})


def _text(
    description: str, example: str | None = None, *, required: bool = False, of: str = ""
) -> Field:
    """Describe a text; `of` lists what it may be."""
    checks = validate.OneOf(of.split()) if of else None
    about = _about(description, example)
    return fields.String(metadata=about, allow_none=True, required=required, validate=checks)


def _number(description: str, *, required: bool = False) -> Field:
    return fields.Integer(metadata=_about(description), allow_none=True, required=required)


def _shape(name: str, **parts: Field) -> type[Schema]:
    return Schema.from_dict(parts, name=f"Task{name}")


def _key() -> Field:
    return _text("an expression over event: each of its values counts alone", "event.data.customer")


def _period(description: str = "how long", *, required: bool = False) -> Field:
    return _text(description, "1m", required=required)


_INPUTS = {
    "args": "an expression that makes the list of arguments, over event (over events in a batch)",
    "kwargs": "an expression that makes the object of keyword arguments",
}
_ENTRY = _shape(
    "Concurrency",
    limit=_number("how many tasks at a time, from sending to answer", required=True),
    key=_key(),
    scope=_text("fn, env or account", of="fn env account"),
)
_THROTTLE = _shape(
    "Throttle",
    limit=_number("starts per period; others wait", required=True),
    period=_period(required=True),
    burst=_number("how many more at once"),
    key=_key(),
)
_RATE_LIMIT = _shape(
    "RateLimit",
    limit=_number("starts per period; other events are dropped", required=True),
    period=_period("up to 24h", required=True),
    key=_key(),
)
_DEBOUNCE = _shape(
    "Debounce",
    period=_period("starts when no event has come for so long", required=True),
    timeout=_period("at the latest after"),
    key=_key(),
)
_BATCH = _shape(
    "BatchEvents",
    maxSize=_number("events of one run, at most", required=True),
    timeout=_period("starts with fewer after", required=True),
    key=_key(),
    **{"if": _text("only events for which this is true; others start a run alone")},
)
_SINGLETON = _shape(
    "Singleton",
    mode=_text("skip the later run, or cancel the earlier one", required=True),
    key=_key(),
)
_TRIGGER = _shape(
    "Trigger",
    event=_text("the name of an event, or a wildcard", "shop/order.placed"),
    cron=_text(
        "a schedule or an interval (every 90s), with TZ=… before it and #name after it if wished",
        "TZ=Europe/Paris 0 9 * * 1-5",
    ),
    jitter=_period("delays each start of a schedule by up to"),
    queue=_text("the queue to which a schedule sends it"),
    priority=_number("the priority with which a schedule sends it"),
    expires=fields.Raw(metadata=_about("seconds by which a schedule's task must have begun", 60)),
    **{"if": _text("only events for which this expression is true", "event.data.total > 0")},
    **{name: _text(f"{text}; in place of the task's") for name, text in _INPUTS.items()},
)
_CANCEL = _shape(
    "CancelOn",
    event=_text("the event that cancels runs", "shop/order.cancelled", required=True),
    timeout=_period("only so long after the run's start"),
    **{"if": _text("which runs", "event.data.order == async.data.order")},
)
_BACKOFF = _shape(
    "Backoff",
    initial=_period("before the first retry", required=True),
    factor=fields.Raw(metadata=_about("how much longer each next one is", 2)),
    maximum=_period("at most"),
    jitter=fields.Raw(metadata=_about("the share that is taken off at random, 0 to 1", 0.2)),
)
_TIMEOUTS = _shape(
    "Timeouts",
    start=_period("a run that has not started by then is cancelled"),
    finish=_period("a run that has not ended by then is cancelled"),
)


def _object(shape: type[Schema]) -> Field:
    return fields.Nested(shape, allow_none=True)


def _list(shape: type[Schema], description: str) -> Field:
    return fields.List(fields.Nested(shape), allow_none=True, metadata=_about(description))


class _Settings(openapi.Body):
    def load(self, data: Any, **_more: Any) -> Any:
        """Take the settings as they are: the domain checks them."""
        if not isinstance(data, dict):
            raise ValidationError({"_schema": [self.error_messages["type"]]})
        return data


SETTINGS: dict[str, Field] = {
    "on": _list(_TRIGGER, "what starts it"),
    **{name: _text(text) for name, text in _INPUTS.items()},
    "retries": _number("how often it is sent again after its final failure: 0 to 20"),
    "backoff": _object(_BACKOFF),
    "timeout": _period("how long it may run after its start: 2h by default"),
    "on_lost": _text("retry, up to 3 times, or fail", of="retry fail"),
    "queue": _text("the queue it is sent to, if not the app's"),
    "terminate": fields.Boolean(
        allow_none=True,
        metadata=_about("kill what runs when the run is cancelled or its time is over (prefork)"),
    ),
    "concurrency": fields.Raw(
        allow_none=True,
        metadata=_about(
            "a number, or one or two {limit, key, scope}, or {step: […], fn: […]}",
            {"limit": 2, "key": "event.data.customer"},
        ),
    ),
    "throttle": _object(_THROTTLE),
    "rateLimit": _object(_RATE_LIMIT),
    "idempotency": _text("an expression: one run in 24 h for each of its values", "event.data.id"),
    "debounce": _object(_DEBOUNCE),
    "batchEvents": _object(_BATCH),
    "priority": _object(
        _shape("Priority", run=_text("an expression: seconds ahead", "event.data.vip ? 60 : 0"))
    ),
    "singleton": _object(_SINGLETON),
    "timeouts": _object(_TIMEOUTS),
    "cancelOn": _list(_CANCEL, "events that cancel its runs"),
}
TaskSettings = _Settings.from_dict(SETTINGS, name="TaskSettings")


class WorkflowEntry(Schema):
    """An entry of a workflow: a task, a group of entries, or a sequence of entries."""

    task = _text("the name of a task, for which it may stand alone", "shop.tasks.charge")
    group = fields.List(
        fields.Nested(lambda: WorkflowEntry()),  # noqa: PLW0108 (it is not there yet)
        metadata=_about("entries that run at the same time; the result is the list of theirs"),
    )
    sequence = fields.List(
        fields.Nested(lambda: WorkflowEntry()),  # noqa: PLW0108 (it is not there yet)
        metadata=_about("entries that run one after the other, under one condition or in a group"),
    )
    name = _text("how the timeline and expressions call the step")
    when = _text("an expression: the entry is skipped where it is false", "result > 0")
    args = _text("an expression: the list of arguments; the result before, if left out", "[result]")
    kwargs = _text("an expression: the object of keyword arguments", '{"amount": event.data.total}')
    queue = _text("the queue it is sent to, if not the workflow's")
    countdown = fields.Raw(metadata=_about("seconds to wait before it is sent", 60))
    expires = fields.Raw(
        metadata=_about("seconds by which a worker must have begun it: else its run fails", 3600)
    )
    priority = _number("the message's priority: 0 to 255")
    time_limit = fields.Raw(metadata=_about("seconds after which its worker kills it", 600))
    soft_time_limit = fields.Raw(metadata=_about("seconds after which it is interrupted", 540))


_TASKS = "the entries, run one after the other; each is the name of a task, or an object"
WORKFLOW_SETTINGS: dict[str, Field] = {
    "tasks": fields.List(fields.Nested(WorkflowEntry), allow_none=True, metadata=_about(_TASKS)),
    **{name: field for name, field in SETTINGS.items() if name not in _INPUTS},
}


class _Workflow(_Settings):
    def read_json(self, body: bytes) -> object:
        """Read a body in which lists are within each other, as deep as they may be."""
        found: object = canonical.loads(body, MOST_JSON_LEVELS)
        return found


WorkflowSettings = _Workflow.from_dict(WORKFLOW_SETTINGS, name="WorkflowSettings")
