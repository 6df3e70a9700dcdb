"""The forms of saved views, above the list of runs."""

from flask import g, request
from werkzeug.wrappers import Response as AnyResponse

from ....domain.access.roles import Role
from ....domain.runs import saved_views as rules
from ....domain.values import ids
from ....engine.admin import saved_views
from ...deps import context
from ...parts.notices import leave
from ...rendering import url
from ...routes import route
from ..audit import actor


@route("/views", Role.OPERATOR, methods=("POST",))
def view_save() -> AnyResponse:
    """Save the filters and columns of the list under a name."""
    query = rules.only_filters(request.form.get("query", ""))
    saved_views.add(context(), request.form.get("name"), query, actor())
    return leave(f"{url('runs')}?{query}", "view-saved")


@route("/views/<view_id>/delete", Role.OPERATOR, methods=("POST",))
def view_delete(view_id: str) -> AnyResponse:
    """Delete a view: an operator their own, an admin each."""
    ids.check_ulid(view_id, "a view's id")
    saved_views.remove(context(), view_id, actor(), any_owner=g.viewer.may(Role.ADMIN))
    return leave(url("runs"), "view-deleted")
