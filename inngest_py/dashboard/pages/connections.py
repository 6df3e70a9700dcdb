"""The buttons at connected workers: drain one, and let it work again."""

from werkzeug.wrappers import Response as AnyResponse

from ...domain.access.roles import Role
from ...engine.connect import drains
from ..deps import context
from ..parts.notices import leave
from ..rendering import url
from ..routes import route
from .audit import actor


@route("/connections/<connection_id>/drain", Role.OPERATOR, methods=("POST",))
def worker_drain(connection_id: str) -> AnyResponse:
    """Let a worker get no more work."""
    drains.drain(context(), connection_id, actor())
    return leave(url("apps"), "drained")


@route("/connections/<connection_id>/resume", Role.OPERATOR, methods=("POST",))
def worker_resume(connection_id: str) -> AnyResponse:
    """Let a drained worker get work again."""
    drains.resume(context(), connection_id, actor())
    return leave(url("apps"), "works-again")
