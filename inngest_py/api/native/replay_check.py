"""`POST /api/v1/replay-check`: what new code would change for runs, before it is deployed."""

from collections import Counter
from collections.abc import Sequence
from typing import TypedDict

from flask import Response
from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from ...domain.replay import findings
from ...domain.replay.findings import Change, Finding
from ...domain.runs.runs import RunStatus
from ...domain.values import ids
from ...domain.values.json_types import JsonObject
from ...engine.admin import replay_check, replay_live
from ...engine.admin.replay_check import Checked
from ..deps import context
from ..errors import answer
from . import openapi

blueprint = openapi.documented("replay-check")
MOST = 1000
_CHANGES = [change.value for change in Change]
_STATUSES = [status.value for status in RunStatus]


class Asked(openapi.Body):
    """Which runs to check against which app: give `run`, `function` or `all`."""

    app = fields.String(
        required=True,
        validate=validate.Length(1),
        metadata={
            "description": "the serve endpoint of the new code, which need not be registered",
            "example": "http://localhost:3001/api/inngest",
        },
    )
    run = fields.String(metadata={"description": "a run, live or ended"})
    function = fields.String(
        validate=validate.Length(1),
        metadata={"description": "a function's slug, or its id: its runs in flight"},
    )
    all = fields.Boolean(
        load_default=False,
        metadata={"description": "the runs in flight of all the app's functions"},
    )
    most = fields.Integer(load_default=200, validate=validate.Range(1, MOST))

    @validates_schema
    def one_choice(self, data: JsonObject, **more: object) -> None:
        """Refuse none or several of run, function and all."""
        given = [name for name in ("run", "function", "all") if data.get(name)]
        if len(given) != 1:
            told = "give one of run, function and all"
            raise ValidationError(told if not given else f"{told}, not {' and '.join(given)}")


class FindingShown(Schema):
    """One thing that would change."""

    change = fields.String(required=True, validate=validate.OneOf(_CHANGES))
    text = fields.String(required=True)
    step = fields.String(
        required=True, allow_none=True, metadata={"description": "the hash of the step's id"}
    )
    name = fields.String(required=True, allow_none=True)
    position = fields.Integer(
        required=True, allow_none=True, metadata={"description": "in the run, from 1"}
    )
    detail = fields.String(
        required=True, allow_none=True, metadata={"description": "an error's message"}
    )


class RunFound(Schema):
    """A run of which something would change, or of which not all steps could be judged."""

    id = fields.String(required=True)
    function = fields.String(required=True)
    status = fields.String(required=True, validate=validate.OneOf(_STATUSES))
    findings = fields.List(fields.Nested(FindingShown), required=True)
    unseen = fields.String(
        required=True, allow_none=True, metadata={"description": "why steps could not be judged"}
    )
    more = fields.Integer(
        required=True, metadata={"description": "how many findings are not listed"}
    )


class GroupShown(Schema):
    """Runs of a function of which the same thing would change."""

    function = fields.String(required=True)
    change = fields.String(required=True, validate=validate.OneOf(_CHANGES))
    text = fields.String(required=True)
    runs = fields.Integer(required=True)
    examples = fields.List(fields.String(), required=True, metadata={"description": "ids of runs"})


class LeftOut(Schema):
    """Runs that were not checked."""

    reason = fields.String(required=True)
    runs = fields.Integer(required=True)


class Report(Schema):
    """What would change."""

    summary = fields.String(required=True)
    in_flight = fields.Integer(required=True, metadata={"description": "10,000 may be more"})
    checked = fields.Integer(required=True)
    changed = fields.Integer(required=True)
    groups = fields.List(fields.Nested(GroupShown), required=True)
    runs = fields.List(fields.Nested(RunFound), required=True)
    left_out = fields.List(fields.Nested(LeftOut), required=True)


class ReportAnswer(Schema):
    """The result of a replay check."""

    data = fields.Nested(Report, required=True)


class _Body(TypedDict, total=False):
    app: str
    run: str
    function: str
    all: bool
    most: int


@blueprint.post("/replay-check")
@blueprint.arguments(Asked)
@blueprint.alt_response(400, schema=openapi.Problem)
@blueprint.alt_response(404, schema=openapi.Problem)
@blueprint.response(200, ReportAnswer)
def check(body: _Body) -> Response:
    """Say which steps of runs new code would move, before it is deployed.

    The server sends the results of a run's steps to the app, and asks what comes next. No step
    runs, nothing is stored, and the runs are not touched; the app's code between steps runs. Takes
    a request to the app for each step of a run, and a minute at most.
    """
    if "run" in body:
        run_id = ids.check_ulid(body["run"], "a run id", "run")
        found = replay_check.of_run(context(), run_id, body["app"])
        ended = found.status.value if found.has_ended else None
        told = findings.summary_of_run(run_id, len(found.findings) + found.more, ended)
        return answer({"data": _shape(told, [found], int(ended is None), Counter())})
    report = replay_live.of_live_runs(context(), body["app"], body.get("function"), body["most"])
    changed = sum(bool(run.findings) for run in report.checked)
    told = findings.summary(changed, len(report.checked), report.in_flight, at_least=report.is_cut)
    return answer({"data": _shape(told, report.checked, report.in_flight, report.left_out)})


def _shape(
    told: str, checked: Sequence[Checked], in_flight: int, left_out: Counter[str]
) -> JsonObject:
    groups = findings.grouped((run.run_id, run.function, run.findings) for run in checked)
    return {
        "summary": told,
        "in_flight": in_flight,
        "checked": len(checked),
        "changed": sum(bool(run.findings) for run in checked),
        "groups": [
            {
                "function": group.function,
                "change": group.change.value,
                "text": group.text,
                "runs": group.runs,
                "examples": group.examples,
            }
            for group in groups
        ],
        "runs": [_run(run) for run in checked if run.findings or run.unseen],
        "left_out": [{"reason": reason, "runs": left_out[reason]} for reason in sorted(left_out)],
    }


def _run(run: Checked) -> JsonObject:
    return {
        "id": run.run_id,
        "function": run.function,
        "status": run.status.value,
        "findings": [_finding(finding) for finding in run.findings],
        "unseen": run.unseen,
        "more": run.more,
    }


def _finding(finding: Finding) -> JsonObject:
    return {
        "change": finding.change.value,
        "text": finding.text,
        "step": finding.step,
        "name": finding.name,
        "position": finding.position,
        "detail": finding.detail,
    }
