"""`POST /v2/events`: send one event."""

from flask import Response

from ...domain.errors import Invalid
from ...domain.events.user_events import RESERVED, parse_event
from ...engine.clock.sent_times import by_the_clock
from ...engine.intake.publish import accept
from ..deps import context
from .common import Message, blueprint, body, enveloped

_MAX_NAME_CHARS = 512


@blueprint.post("/events")
def send() -> Response:
    """Accept an event; store it with the runs that it starts."""
    given = body()
    _check_name(given)
    ctx = context()
    now = ctx.now()
    fields = {name: given.get(name) for name in ("name", "data", "user", "id", "ts", "v", "meta")}
    sent = by_the_clock(ctx, fields)
    try:
        event = parse_event(sent, given.size, int(now.timestamp() * 1000), ctx.new_id(now))
    except Invalid as error:
        raise Invalid(error.message, field=error.field, code="validation_error") from None
    accept(ctx, [event])
    return enveloped({"eventId": event.id})


def _check_name(given: Message) -> None:
    name = given.needed("name", 10_000)
    if len(name) > _MAX_NAME_CHARS:
        raise given.wrong("name", f"is over {_MAX_NAME_CHARS} characters")
    if name.lower().startswith(RESERVED):
        raise given.wrong("name", f"may not begin with {RESERVED}")
