"""The form that connects a Celery app. The broker's URL may hold a password: no page shows it."""

from flask import request
from werkzeug.wrappers import Response as AnyResponse

from ...domain.access.roles import Role
from ...domain.errors import Conflict, Invalid
from ...domain.functions.celery_task import DEFAULT_QUEUE
from ...domain.values import canonical
from ...engine.apps import celery_apps
from ..deps import context
from ..parts.notices import leave
from ..rendering import url
from ..routes import route
from .apps import show
from .audit import actor


# who changes a broker chooses where the data of tasks goes
@route("/apps/celery", Role.ADMIN, methods=("POST",))
def celery_add() -> AnyResponse:
    """Connect a Celery app, or change its broker."""
    given = {name: request.form.get(name, "").strip() for name in ("name", "broker_url", "queue")}
    queue = given["queue"] or DEFAULT_QUEUE
    try:
        options = _options(request.form.get("options", "").strip())
        celery_apps.add(
            context(),
            given["name"],
            given["broker_url"],
            queue=queue,
            options=options,
            by=actor(),
        )
    except Invalid as error:
        return show(None, 400, wrong={error.field or "name": error.message})
    except Conflict as error:
        return show(None, 409, wrong={"name": error.message})
    return leave(url("apps"), "connected")


def _options(text: str) -> dict[str, object]:
    if not text:
        return {}
    try:
        found = canonical.loads(text)
    except Invalid as error:
        raise Invalid(f"the options are not JSON: {error.message}", field="options") from None
    if not isinstance(found, dict):
        raise Invalid("the options must be a JSON object", field="options")
    return found
