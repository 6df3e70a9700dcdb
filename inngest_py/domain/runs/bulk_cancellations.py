"""Bulk cancellations: check a request, and choose the runs to cancel (protocol: api.md §2.3)."""

from dataclasses import dataclass
from datetime import datetime

from .. import cel
from ..errors import Invalid
from ..values import canonical, times
from ..values.checks import check_text, kind
from ..values.json_types import JsonObject

_MAX_NAME_BYTES = 1024


@dataclass(frozen=True, slots=True)
class BulkCancel:
    """Cancels the runs of a function that started in a range and whose event fits the expression.

    The range includes `started_after` and excludes `started_before`.
    """

    app: str
    function: str
    name: str
    started_after: datetime | None
    started_before: datetime
    expression: str | None


def parse(body: object, now: datetime) -> BulkCancel:
    """Check a request's body; raises Invalid, which names the field."""
    if not isinstance(body, dict):
        raise Invalid(f"the body must be an object, not {kind(body)}")
    before = _time(body, "started_before")
    if before is None:
        raise Invalid("started_before is missing: give a time in the past", field="started_before")
    if before >= now:
        raise Invalid("started_before must be in the past", field="started_before")
    after = _time(body, "started_after")
    if after is not None and after >= before:
        raise Invalid("started_after must be before started_before", field="started_after")
    return BulkCancel(
        app=_text(body, "app_id", required=True),
        function=_text(body, "function_id", required=True),
        name=_text(body, "name"),
        started_after=after,
        started_before=before,
        expression=_expression(body),
    )


def matches(expression: str | None, event: str, now: datetime) -> bool:
    """Say whether an event, as JSON, fits the expression; every event does when there is none."""
    return expression is None or cel.matches(expression, {"event": canonical.loads(event)}, now)


def _text(body: JsonObject, key: str, *, required: bool = False) -> str:
    value = body.get(key)
    if value is None or value == "":
        if required:
            raise Invalid(f"{key} is missing", field=key)
        return ""
    if not isinstance(value, str):
        raise Invalid(f"{key} must be a string, not {kind(value)}", field=key)
    return check_text(value, key, _MAX_NAME_BYTES, key)


def _time(body: JsonObject, key: str) -> datetime | None:
    value = body.get(key)
    if value is None or value == "":
        return None
    try:
        return times.parse_time(value) if isinstance(value, str) else _no_time()
    except Invalid:
        raise Invalid(f"{key} must be an RFC 3339 time", field=key) from None


def _no_time() -> datetime:
    raise Invalid("not a time")


def _expression(body: JsonObject) -> str | None:
    value = body.get("if")
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise Invalid(f"if must be an expression, not {kind(value)}", field="if")
    try:
        check_text(value, "if", cel.MOST_CHARS, "if")
        cel.check(value)
    except Invalid as error:
        raise Invalid(f"if is not a valid expression: {error.message}", field="if") from None
    return value
