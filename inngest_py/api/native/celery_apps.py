"""`/v1/celery`: connect Celery apps, say what starts their tasks, and run canvases."""

from collections.abc import Sequence
from typing import Any

from marshmallow import Schema, fields, validate
from sqlalchemy import RowMapping

from ...domain.errors import Invalid, NotFound, TooDeep
from ...domain.functions import celery_task, task_inputs
from ...domain.functions.function_config import config_from_json
from ...domain.reports import celery_seen
from ...domain.reports.celery_seen import Seen, SeenWorker
from ...domain.values import canonical
from ...domain.values.json_types import JsonObject
from ...engine.apps import celery_app_names, celery_apps, celery_runs, task_settings, workflows
from ...storage.queries import celery_app_list, function_list
from .. import shapes
from ..actors import actor
from ..deps import context
from ..errors import answer
from . import openapi
from .task_schemas import TaskSettings, WorkflowSettings

blueprint = openapi.documented("celery", "/v1/celery")


class AppBody(openapi.Body):
    """A Celery app: its broker, and the queue that its workers read."""

    broker_url = fields.String(required=True, validate=validate.Length(1, 2048))
    queue = fields.String(load_default="celery")
    options = fields.Dict(keys=fields.String(), load_default=dict)


class RunBody(openapi.Body):
    """A signature or a canvas, as Celery writes it in JSON."""

    signature = fields.Dict(
        required=True,
        error_messages={"invalid": "must be an object: a signature as Celery writes it in JSON"},
    )
    id = fields.String(validate=validate.Length(1, 255))
    idempotency_key = fields.String(validate=validate.Length(1, 255))

    def read_json(self, body: bytes) -> object:
        """Read a body in which signatures are within each other, as deep as they may be."""
        try:
            found: object = canonical.loads(body, task_inputs.MOST_SIGNATURE_LEVELS)
        except TooDeep as error:
            raise Invalid(task_inputs.TOO_DEEP, field="signature") from error
        try:
            canonical.check_integers(body)
        except Invalid as error:
            raise Invalid(error.message, field="signature") from None
        return found


class DeclareQuery(Schema):
    """What a change of settings may have in its query."""

    declare = fields.Boolean(
        load_default=False,
        metadata={"description": "also settings of tasks that no worker has had yet"},
    )


class CeleryAnswer(Schema):
    """An answer with an object."""

    data = fields.Dict(required=True)


class CeleryAppList(Schema):
    """Celery apps; no broker's password is shown."""

    data = fields.List(fields.Dict(), required=True)


@blueprint.get("")
@blueprint.response(200, CeleryAppList)
def list_apps() -> object:
    """List the Celery apps, with their workers and tasks as they were last seen."""
    with context().db.reading() as tx:
        found = [
            (row, function_list.every(tx, app_id=row["app_id"], archived=False))
            for row in celery_app_list.every(tx)
        ]
    return answer({"data": [_shown(row, functions) for row, functions in found]})


def _shown(row: RowMapping, functions: Sequence[RowMapping]) -> dict[str, object]:
    seen, at = celery_seen.from_json(row["seen"]), row["seen_at"]
    alive = [] if at is None else seen.alive(at)
    error = row["error_detail"] or row["error"]
    state = celery_seen.state(seen, at, row["queue"], error, context().now())
    return {
        "name": row["name"],
        "state": state.name,
        "advice": state.advice,
        "broker": celery_task.without_password(row["broker_url"]),
        "queue": row["queue"],
        "file": row["file"],
        "workers": [one.host for one in alive],
        "worker_details": [_worker(one, alive=one in alive) for one in seen.workers],
        "queues": {one.name: one.messages for one in seen.queues},
        "tasks": seen.tasks,
        "gone_tasks": {one.name: shapes.stamp(one.since) for one in seen.gone},
        "unseen_tasks": _unseen(functions, seen),
        "tasks_left_out": seen.left_out,
        "seen_at": shapes.stamp(at),
        "refresh_wanted_at": shapes.stamp(row["refresh_wanted_at"]),
        "error": row["error"],
        "error_detail": row["error_detail"],
    }


def _unseen(functions: Sequence[RowMapping], seen: Seen) -> list[str]:
    """List the tasks that have settings, and that no worker has had yet."""
    tasks = [config_from_json(row["config"]).celery for row in functions]
    named = {task.task for task in tasks if task is not None and not task.workflow and task.task}
    return sorted(named.difference(seen.tasks, (one.name for one in seen.gone)))


def _worker(one: SeenWorker, *, alive: bool) -> dict[str, object]:
    return {
        "name": one.host,
        "alive": alive,
        "heard_at": shapes.stamp(one.heard),
        "pool": one.pool,
        "processes": one.processes,
        "queues": one.queues,
        "active": one.active,
        "reserved": one.reserved,
        "running": [
            {"id": task.id, "name": task.name, "started_at": shapes.stamp(task.started)}
            for task in one.running
        ],
    }


@blueprint.get("/<name>")
@blueprint.alt_response(404, schema=openapi.Problem)
@blueprint.response(200, CeleryAnswer)
def show_app(name: str) -> object:
    """Show a Celery app, with its workers and tasks as they were last seen."""
    with context().db.reading() as tx:
        row = celery_app_names.find(tx, name)
        functions = function_list.every(tx, app_id=row["app_id"], archived=False)
    return answer({"data": _shown(row, functions)})


@blueprint.put("/<name>")
@blueprint.arguments(AppBody)
@blueprint.alt_response(400, schema=openapi.Problem)
@blueprint.response(200, CeleryAnswer)
def put_app(body: dict[str, Any], name: str) -> object:
    """Connect a Celery app, or change its broker. Its workers' tasks become functions."""
    app_id = celery_apps.add(context(), name, by=actor(), **body)
    return answer({"data": {"id": app_id, "name": name}})


@blueprint.delete("/<name>")
@blueprint.alt_response(404, schema=openapi.Problem)
@blueprint.response(200, CeleryAnswer)
def delete_app(name: str) -> object:
    """Disconnect a Celery app; its functions are archived."""
    if not celery_apps.remove(context(), name, actor()):
        raise NotFound(f"no Celery app is called {name[:100]!r}")
    return answer({"data": {"name": name}})


@blueprint.post("/<name>/refresh")
@blueprint.alt_response(404, schema=openapi.Problem)
@blueprint.response(200, CeleryAnswer)
def refresh_app(name: str) -> object:
    """Have the app's workers asked for their tasks in the next seconds.

    `refresh_wanted_at` of the app is null once that is done.
    """
    celery_apps.refresh(context(), name, actor())
    return answer({"data": {"name": name}})


@blueprint.get("/<name>/tasks/<path:task>")
@blueprint.alt_response(404, schema=openapi.Problem)
@blueprint.response(200, CeleryAnswer)
def show_task(name: str, task: str) -> object:
    """Show the settings of a task, each with where it comes from: the config file, or by hand."""
    return answer({"data": task_settings.show(context(), name, task)})


@blueprint.put("/<name>/tasks/<path:task>")
@blueprint.arguments(TaskSettings)
@blueprint.arguments(DeclareQuery, location="query")
@blueprint.alt_response(400, schema=openapi.Problem)
@blueprint.alt_response(404, schema=openapi.Problem)
@blueprint.alt_response(409, schema=openapi.Problem)
@blueprint.response(200, CeleryAnswer)
def put_task(body: JsonObject, query: dict[str, bool], name: str, task: str) -> object:
    """Change settings of a task: what starts it, its limits, its retries. Null undoes one.

    Those that are left out stay. A setting of the server's config file cannot be changed here.
    """
    slug = task_settings.configure(context(), name, task, body, actor(), **query)
    return answer({"data": {"function": slug}})


@blueprint.get("/<name>/workflows")
@blueprint.alt_response(404, schema=openapi.Problem)
@blueprint.response(200, CeleryAppList)
def list_workflows(name: str) -> object:
    """List the workflows of an app, with their settings and what has set them."""
    return answer({"data": workflows.shown(context(), name)})


@blueprint.put("/<name>/workflows/<workflow>")
@blueprint.arguments(WorkflowSettings)
@blueprint.arguments(DeclareQuery, location="query")
@blueprint.alt_response(400, schema=openapi.Problem)
@blueprint.alt_response(404, schema=openapi.Problem)
@blueprint.alt_response(409, schema=openapi.Problem)
@blueprint.response(200, CeleryAnswer)
def put_workflow(body: JsonObject, query: dict[str, bool], name: str, workflow: str) -> object:
    """Make a workflow, or change settings of one. Null undoes one; those left out stay.

    Runs keep the tasks that they have started with.
    """
    slug = workflows.configure(context(), name, workflow, body, actor(), **query)
    return answer({"data": {"function": slug}})


@blueprint.delete("/<name>/workflows/<workflow>")
@blueprint.alt_response(404, schema=openapi.Problem)
@blueprint.alt_response(409, schema=openapi.Problem)
@blueprint.response(200, CeleryAnswer)
def delete_workflow(name: str, workflow: str) -> object:
    """Remove a workflow; its runs go on."""
    if not workflows.remove(context(), name, workflow, actor()):
        raise NotFound(f"{name[:100]} has no workflow called {workflow[:100]!r}")
    return answer({"data": {"name": workflow}})


@blueprint.post("/<name>/runs")
@blueprint.arguments(RunBody)
@blueprint.alt_response(400, schema=openapi.Problem)
@blueprint.alt_response(404, schema=openapi.Problem)
@blueprint.alt_response(409, schema=openapi.Problem)
@blueprint.alt_response(200, schema=CeleryAnswer)
@blueprint.response(201, CeleryAnswer)
def start_run(body: dict[str, Any], name: str) -> object:
    """Run a task or a canvas of the app; the answer names the run.

    It is 200 instead of 201 if the same signature was sent before with the same id or key.
    """
    sent = celery_runs.start(context(), name, by=actor(), **body)
    return answer({"data": {"run_id": sent.run_id}}, 201 if sent.is_new else 200)
