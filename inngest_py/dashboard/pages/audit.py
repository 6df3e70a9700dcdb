"""The page of the audit log, and who acts through the dashboard."""

from typing import Any

from flask import Response, g, request

from ... import observe
from ...domain.access.roles import Role
from ...engine.runtime.audit import Actor
from ...storage.queries import audit_log
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
    after = audit_log.NEWEST.position_of(request.args.get("before"), "before")
    name = choices.text(request.args, "name") or None
    found = read(lambda tx: audit_log.page(tx, first=_PAGE, after=after, name=name))
    return page("audit.html", acts=found.rows, following=found.next, name=name or "")
