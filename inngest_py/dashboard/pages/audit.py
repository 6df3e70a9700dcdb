"""The page of the audit log, and who acts through the dashboard."""

from typing import Any

from flask import Response, g, request

from ... import observe
from ...domain.access.roles import Role
from ...domain.values import ids
from ...engine.runtime.audit import Actor
from ...storage.operations import operators as rows
from ..deps import read
from ..guard import address
from ..parts import choices
from ..rendering import page
from ..routes import route

_PAGE = 100


def actor() -> Actor:
    """Return who acts; the engine writes it to the audit log with the act."""
    return Actor(g.viewer.name, address())


def log_act(response: Response) -> Response:
    """Log what an operator did; the audit log has it already."""
    viewer: Any = g.get("viewer")
    if request.method == "POST" and viewer is not None and response.status_code < 400:
        act = (request.endpoint or "").rpartition(".")[2]
        observe.event("dashboard.act", who=viewer.name, action=act, path=request.path)
    return response


@route("/audit", Role.ADMIN)
def audit() -> Response:
    """Show who did what, newest first."""
    before = request.args.get("before") or None
    if before is not None:
        ids.check_ulid(before, "an id", "before")
    name = choices.text(request.args, "name") or None
    found = read(lambda tx: rows.acts(tx, before=before, name=name, limit=_PAGE + 1))
    shown = found[:_PAGE]
    following = shown[-1]["id"] if len(found) > _PAGE else None
    return page("audit.html", acts=shown, following=following, name=name or "")
