"""`/dev/clock`: read and move the virtual clock of a dev server (`dev --clock virtual`)."""

from typing import TypedDict

from flask import Response
from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from ...domain.errors import Conflict
from ...domain.values import durations, times
from ...domain.values.json_types import JsonObject
from ...engine.clock.mover import Mover
from .. import shapes
from ..deps import deps
from ..errors import answer
from . import openapi

blueprint = openapi.documented("clock", prefix="/dev")
# how long a request waits for the end of a move; a longer move goes on, and is answered with 202
_WAIT_SECONDS = 8.0
_COMMANDS = ("advance", "to", "next", "freeze", "resume")


class ClockCommand(Schema):
    """One command to the clock."""

    # marshmallow's messages are templates, so their braces are doubled
    advance = fields.String(
        error_messages={"invalid": 'give a duration as text, as in {{"advance": "3d"}}'},
        metadata={"example": "3d", "description": "a duration"},
    )
    to = fields.String(
        error_messages={"invalid": 'give a time as text, as in {{"to": "2027-01-01T00:00Z"}}'},
        metadata={"example": "2027-01-01T00:00:00Z", "description": "a time"},
    )
    next = fields.Boolean(
        validate=validate.Equal(True), metadata={"description": "move to what is due next"}
    )
    freeze = fields.Boolean(
        validate=validate.Equal(True), metadata={"description": "stop the clock, or its move"}
    )
    resume = fields.Boolean(validate=validate.Equal(True), metadata={"description": "let it run"})
    yes = fields.Boolean(
        load_default=False, metadata={"description": "confirms a move of more than a year"}
    )

    @validates_schema
    def _one(self, data: JsonObject, **_: object) -> None:
        if sum(name in data for name in _COMMANDS) != 1:
            raise ValidationError(f"give one of {', '.join(_COMMANDS)}", "advance")


class Clock(Schema):
    """Where the clock is."""

    now = fields.String(required=True)
    real = fields.String(required=True, metadata={"description": "the time of others"})
    frozen = fields.Boolean(required=True)
    next_at = fields.String(allow_none=True, metadata={"description": "when something is due"})
    moving_to = fields.String(allow_none=True, metadata={"description": "null: it is not moved"})
    waits_for = fields.String(allow_none=True, metadata={"description": "what delays the move"})
    moments = fields.Integer(metadata={"description": "of the last move, those with work"})
    error = fields.String(allow_none=True, metadata={"description": "what ended the last move"})


class ClockAnswer(Schema):
    """The clock."""

    data = fields.Nested(Clock, required=True)


class _Command(TypedDict, total=False):
    advance: str
    to: str
    next: bool
    freeze: bool
    resume: bool
    yes: bool


def _mover() -> Mover:
    found = deps().mover
    if found is None:
        raise Conflict(
            "this server shows the real time, which cannot be moved: start it with"
            " `inngest-py dev --clock virtual`",
            code="no_virtual_clock",
        )
    return found


@blueprint.get("/clock")
@blueprint.alt_response(409, schema=openapi.Problem)
@blueprint.response(200, ClockAnswer)
def show() -> Response:
    """Say where the clock is, and when the next thing is due."""
    return _answer(_mover())


@blueprint.post("/clock")
@blueprint.arguments(ClockCommand)
@blueprint.alt_response(202, schema=ClockAnswer)
@blueprint.alt_response(400, schema=openapi.Problem)
@blueprint.alt_response(409, schema=openapi.Problem)
@blueprint.response(200, ClockAnswer)
def command(given: _Command) -> Response:
    """Move, freeze or resume the clock.

    What is due on the way is done at its own moment, in the order of time. The answer comes when
    the clock is there, or with 202 after a few seconds; then GET says how far it is.
    """
    mover, confirmed = _mover(), given["yes"]
    if "advance" in given:
        mover.advance(durations.to_timedelta(given["advance"]), confirmed=confirmed)
    elif "to" in given:
        mover.move(times.parse_time(given["to"]), confirmed=confirmed)
    elif "next" in given:
        mover.to_next(confirmed=confirmed)
    elif "freeze" in given:
        mover.freeze()
    else:
        mover.resume()
    over = mover.wait(_WAIT_SECONDS)
    return _answer(mover, 200 if over else 202)


def _answer(mover: Mover, status: int = 200) -> Response:
    state = mover.state()
    shown = {
        "now": shapes.stamp(state.now),
        "real": shapes.stamp(state.real),
        "frozen": state.is_frozen,
        "next_at": shapes.stamp(state.next_at),
        "moving_to": shapes.stamp(state.moving_to),
        "waits_for": state.waits_for,
        "moments": state.moments,
        "error": state.error,
    }
    return answer({"data": shown}, status)
