"""`POST /v2/runs/{id}/scores`: how good a run or a step was, stored as its metadata."""

import orjson
from flask import Response

from ...domain.runs.metadata import SCORE, Target, Update, UpdateOp, step_hash
from ...domain.values.checks import kind
from ...domain.values.json_types import JsonObject
from ...engine.work.metadata import annotate
from ..deps import context
from .common import Message, blueprint, body, enveloped, raw, ulid

_MOST = 100
_MAX_NAME_BYTES = 128


@blueprint.post("/runs/<run_id>/scores")
def score(run_id: str) -> Response:
    """Store scores as SDKs do; a score replaces one of the same name for the same step."""
    ulid(run_id, "run")
    given = body()
    found = [_parse(item) for item in given.objects("scores", _MOST)]
    if not found:
        raise given.missing("scores")
    annotate(context(), run_id, [(target, update) for target, update, _ in found])
    return enveloped([shown for _, _, shown in found])


def _parse(item: Message) -> tuple[Target, Update, JsonObject]:
    name = item.needed("name", _MAX_NAME_BYTES)
    value = item.get("value")
    if value is None:
        raise item.missing("value")
    if not isinstance(value, bool | int | float):
        raise item.wrong("value", f"must be a number or a boolean, not {kind(value)}")
    stored: JsonObject = {"value": value}
    shown: JsonObject = {"name": name, "value": _kept(value)}
    step_id = item.text("stepId", 1024)
    experiment = item.object("experiment")
    if experiment is not None:
        names = {key: experiment.needed(key, 256) for key in ("id", "variant")}
        stored["experiment"] = shown["experiment"] = names
    if step_id is not None:
        shown["stepId"] = step_id
    target = Target() if step_id is None else Target(step_hash(step_id))
    return target, Update(SCORE, UpdateOp.MERGE, {name: stored}), shown


def _kept(value: float) -> orjson.Fragment:
    """Write a score so that compact() leaves zero and false in the answer."""
    return raw({True: "true", False: "false"}[value] if isinstance(value, bool) else f"{value!r}")
