"""The form for the settings of a Celery task, on its function's page."""

from flask import request
from werkzeug.wrappers import Response as AnyResponse

from ...domain.access.roles import Role
from ...domain.errors import Conflict, Invalid, NotFound
from ...domain.functions.function_config import config_from_json
from ...engine.apps import task_settings
from ..deps import context, read
from ..parts import task_form
from ..parts.notices import leave
from ..rendering import url
from ..routes import route
from .audit import actor
from .functions import find, show


@route("/functions/<function_id>/task", Role.OPERATOR, methods=("POST",))
def function_task(function_id: str) -> AnyResponse:
    """Change the settings of a task; a field that is empty has its default again."""
    row = read(lambda tx: find(tx, function_id))
    config = config_from_json(row["config"])
    if config.celery is None or config.celery.task is None:
        raise NotFound(f"function {row['slug']} is no Celery task")
    try:
        changes = task_form.changes(config, request.form)
        task_settings.configure(context(), row["app_name"], config.celery.task, changes, actor())
    except Invalid as error:
        wrong = {task_form.field_of(error): error.message}
        return show(function_id, None, 400, wrong=wrong)
    except Conflict as error:
        return show(function_id, error.message, 409)
    return leave(url("function", function_id=function_id), "configured")
