"""The forms of saved views, above the list of runs."""

from flask import g, request
from werkzeug.wrappers import Response as AnyResponse

from ....domain.access.roles import Role
from ....domain.errors import Conflict, Invalid
from ....domain.runs import saved_views as rules
from ....domain.values import ids
from ....engine.admin import saved_views
from ...deps import context
from ...parts.notices import leave
from ...rendering import fragment, url
from ...routes import route
from ..audit import actor


@route("/views", Role.OPERATOR, methods=("POST",))
def view_save() -> AnyResponse:
    """Save the filters and columns of the list under a name.

    The page's script sends the form by htmx, and shows an error in it: the list stays.
    """
    query, name = rules.only_filters(request.form.get("query", "")), request.form.get("name", "")
    try:
        saved_views.add(context(), name, query, actor())
    except (Invalid, Conflict) as error:
        if "HX-Request" not in request.headers:
            raise
        given = {"query": query, "name": name, "wrong": {"name": error.message}}
        return fragment("saved_views.html", "form", given)
    answered = leave(f"{url('runs')}?{query}", "view-saved")
    if "HX-Request" in request.headers:  # htmx would put the page that follows into the form
        answered.headers["HX-Redirect"] = answered.headers.pop("Location")
        answered.status_code = 200
    return answered


@route("/views/<view_id>/delete", Role.OPERATOR, methods=("POST",))
def view_delete(view_id: str) -> AnyResponse:
    """Delete a view: an operator their own, an admin each."""
    ids.check_ulid(view_id, "a view's id")
    saved_views.remove(context(), view_id, actor(), any_owner=g.viewer.may(Role.ADMIN))
    return leave(url("runs"), "view-deleted")
