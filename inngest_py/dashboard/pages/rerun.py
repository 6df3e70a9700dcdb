"""Running a run again: from a step, with a result that was given by hand, or with other data."""

from flask import Response, request
from sqlalchemy import Connection, RowMapping
from werkzeug.wrappers import Response as AnyResponse

from ...domain.access.roles import Role
from ...domain.errors import Invalid, NotFound
from ...domain.runs import rerun as rules
from ...domain.values import canonical, ids
from ...engine.admin.rerun import rerun
from ...storage.queries import event_lookups, run_detail, run_lookups
from ..deps import context, read
from ..parts.form_errors import wrong_fields
from ..parts.notices import leave
from ..parts.words import pretty
from ..rendering import page, url
from ..routes import route
from .audit import actor
from .run import show

_MOST_FORM = 256 * 1024  # characters of a payload that a form can hold


@route("/runs/<run_id>/rerun", Role.OPERATOR)
def rerun_form(run_id: str) -> Response:
    """Show the form that runs a run again with other data."""
    ids.check_ulid(run_id, "a run id")

    def load(tx: Connection) -> tuple[RowMapping | None, RowMapping | None]:
        run = run_lookups.get(tx, run_id)
        return run, run and event_lookups.head(tx, run["event_id"], _MOST_FORM)

    run, event = read(load)
    if run is None or event is None:
        raise NotFound(f"run {run_id} or its event does not exist: it may have been deleted")
    if event["size"] > _MOST_FORM:
        raise Invalid("the event is too large for a form: send it again by API")
    data = canonical.loads(event["payload"]).get("data", {})
    shown = {name: value for name, value in data.items() if name != "_inngest"}
    return _form(run, pretty(canonical.dumps(shown).decode()))


def _form(run: RowMapping, data: str, problem: str | None = None) -> Response:
    wrong = {} if problem is None else {"data": problem}
    return page("rerun_form.html", 400 if problem else 200, run=run, data=data, wrong=wrong)


@route("/runs/<run_id>/rerun", Role.OPERATOR, methods=("POST",))
def run_rerun(run_id: str) -> AnyResponse:
    """Run a run again: as it was, with other data, or from a step."""
    ids.check_ulid(run_id, "a run id")
    data = request.form.get("data")
    try:
        change = _from_step(run_id, request.form.get("step", "")) if data is None else _data(data)
        new_id = rerun(context(), run_id, change, actor())
    except Invalid as error:
        if data is None:
            wrong = wrong_fields(error, ("input", "result"))
            return show(run_id, error.message, 400, wrong=wrong)
        run = read(lambda tx: run_lookups.get(tx, run_id))
        if run is None:
            raise
        return _form(run, data, error.message)
    return leave(url("run", run_id=new_id), "rerun")


def _data(text: str) -> rules.NewData:
    found = _json(text.strip() or "{}", "data")
    if not isinstance(found, dict):
        raise Invalid("data must be a JSON object", field="data")
    return rules.NewData(found)


def _from_step(run_id: str, step: str) -> rules.FromStep | None:
    if not step:
        return None
    given, result = request.form.get("input", "").strip(), request.form.get("result")
    if result is not None:
        if not result.strip():
            raise Invalid("write the result as JSON; null is a result, too", field="result")
        return rules.with_result(step, _json(result, "result"))
    if not given:
        return rules.from_step(step)
    if read(lambda tx: _language(tx, run_id)) not in rules.TAKE_INPUT:
        raise Invalid(
            "the app's SDK would take new input for the step's result, and not run the step: run"
            " it again without input, or give its result",
            field="input",
        )
    return rules.from_step(step, _json(given, "input"))


def _language(tx: Connection, run_id: str) -> str:
    function_id = run_lookups.function_of(tx, run_id)
    return "" if function_id is None else run_detail.sdk_language(tx, function_id)


def _json(text: str, name: str) -> object:
    try:
        return canonical.loads(text)
    except Invalid as error:
        raise Invalid(f"the {name} {canonical.told(error)}", field=name) from None
