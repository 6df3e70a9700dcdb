"""`POST /dev/runs/{id}/skip`: skip a wait of a run. On dev servers alone."""

from typing import TypedDict

from flask import Response
from marshmallow import fields, validate

from ...domain.limits import MAX_STEP_ID_BYTES
from ...domain.values import ids
from ...engine.admin.skip_wait import skip
from .. import shapes
from ..actors import actor
from ..deps import context
from ..errors import answer
from . import openapi

blueprint = openapi.documented("skipping", prefix="/dev")
_KINDS = ("sleep", "wait", "retry", "start", "request")


class SkipBody(openapi.Body):
    """Which wait to skip."""

    step = fields.String(
        allow_none=True,
        validate=validate.Length(1, MAX_STEP_ID_BYTES),
        metadata={
            "example": "nap",
            "description": "a step's id or name; not needed if only one part of the run waits",
        },
    )


class Skipped(openapi.Body):
    """A wait that was skipped, as it was."""

    run_id = fields.String(required=True)
    step = fields.String(required=True, allow_none=True, metadata={"description": "its hash"})
    name = fields.String(required=True, allow_none=True)
    label = fields.String(required=True, metadata={"example": "step 'nap'"})
    kind = fields.String(required=True, validate=validate.OneOf(_KINDS))
    was_due_at = fields.String(required=True)


class SkippedAnswer(openapi.Body):
    """What was skipped."""

    data = fields.Nested(Skipped, required=True)


class _Body(TypedDict, total=False):
    step: str | None


@blueprint.post("/runs/<run_id>/skip")
@blueprint.arguments(SkipBody)
@blueprint.alt_response(400, schema=openapi.Problem)
@blueprint.alt_response(404, schema=openapi.Problem)
@blueprint.alt_response(409, schema=openapi.Problem)
@blueprint.response(200, SkippedAnswer)
def skip_wait(given: _Body, run_id: str) -> Response:
    """Let what a run waits for happen now, as if its time had come.

    A sleep ends, a wait for an event, a signal or an invoked run times out, a failed step is tried
    again, a run that is to start later starts.
    """
    run_id = ids.check_ulid(run_id, "an id", "run_id")
    skipped = skip(context(), run_id, given.get("step"), actor())
    shown = {
        "run_id": run_id,
        "step": skipped.step,
        "name": skipped.name,
        "label": skipped.label,
        "kind": skipped.kind,
        "was_due_at": shapes.stamp(skipped.item["due_at"]),
    }
    return answer({"data": shown})
