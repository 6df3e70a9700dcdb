"""Bulk cancellations: check a request, and choose the runs to cancel (protocol: api.md §2.3)."""

from dataclasses import dataclass
from datetime import datetime

from .. import cel
from ..errors import Invalid
from ..values import canonical
from ..values.json_fields import JsonFields

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
    given = JsonFields(body)
    before, after = given.time("started_before"), given.time("started_after")
    if before is None:
        raise given.wrong("started_before", "is missing: give a time in the past")
    if before >= now:
        raise given.wrong("started_before", "must be in the past")
    if after is not None and after >= before:
        raise given.wrong("started_after", "must be before started_before")
    return BulkCancel(
        app=given.needed("app_id", _MAX_NAME_BYTES),
        function=given.needed("function_id", _MAX_NAME_BYTES),
        name=given.text("name", _MAX_NAME_BYTES) or "",
        started_after=after,
        started_before=before,
        expression=_expression(given),
    )


def _expression(given: JsonFields) -> str | None:
    text = given.text("if", cel.MOST_CHARS)
    if text is None:
        return None
    try:
        cel.check(text)
    except Invalid as error:
        raise given.wrong("if", f"is not a valid expression: {error.message}") from None
    return text


def matches(expression: str | None, event: str, now: datetime) -> bool:
    """Say whether an event, as JSON, fits the expression; every event does when there is none."""
    return expression is None or cel.matches(expression, {"event": canonical.loads(event)}, now)
