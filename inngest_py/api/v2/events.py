"""`POST /v2/events`: send one event."""

from flask import Response

from ...domain.errors import Invalid
from ...domain.events.user_events import RESERVED, parse_event
from ...engine.intake.publish import accept
from ..deps import context
from .common import Message, blueprint, body, enveloped, missing

_MAX_NAME_CHARS = 512


@blueprint.post("/events")
def send() -> Response:
    """Accept an event; store it with the runs that it starts."""
    given = body()
    _check_name(given)
    ctx = context()
    now = ctx.now()
    fields = {name: given.get(name) for name in ("name", "data", "user", "id", "ts", "v", "meta")}
    try:
        event = parse_event(fields, given.size, int(now.timestamp() * 1000), ctx.new_id(now))
    except Invalid as error:
        raise Invalid(error.message, field=error.field, code="validation_error") from None
    accept(ctx, [event])
    return enveloped({"eventId": event.id})


def _check_name(given: Message) -> None:
    name = given.text("name", most=10_000)
    if name is None:
        raise missing("name")
    for wrong, message in (
        (len(name) > _MAX_NAME_CHARS, f"name is over {_MAX_NAME_CHARS} characters"),
        (name.lower().startswith(RESERVED), f"name may not begin with {RESERVED}"),
    ):
        if wrong:
            raise Invalid(message, field="name", code="invalid_field_format")
