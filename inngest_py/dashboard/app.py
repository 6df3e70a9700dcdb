"""The dashboard on a Flask app: its blueprint, its guard and its error pages."""

from typing import Any

from flask import Flask, Response, g, request
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from werkzeug.exceptions import HTTPException

from .. import observe
from ..config import Settings
from ..domain.access.roles import Role
from ..domain.errors import Conflict, InngestPyError, NotFound, TooLarge
from ..engine.clock.mover import Mover
from ..engine.runtime.context import Context
from ..storage.db.outages import logged, outage, public_message, too_long
from . import guard, rendering
from .deps import EXTENSION, Deps
from .live.minutes import Minutes
from .live.news import Pulse
from .live.run_counts import RunCounts
from .pages import (
    alerts,
    apps,
    audit,
    celery_apps,
    clock,
    connections,
    errors,
    event,
    events,
    export,
    function_forms,
    functions,
    home,
    live,
    login,
    queues,
    rerun,
    run,
    runs,
    task_settings,
)
from .pages.event_types import views as event_types
from .pages.operations import views as operations
from .pages.people import account, tokens, users
from .pages.searching import saved_views, search_keys
from .pages.workers import views as workers
from .parts import notices
from .parts.clock_bar import ClockControl
from .routes import NAME, blueprint

__all__ = ["PAGES", "add_to"]
PAGES = (
    *(home, errors, runs, run, rerun, export, events, event, functions, function_forms),
    *(task_settings, apps, celery_apps, connections, queues, audit, alerts, login, live, clock),
    *(operations, users, tokens, account, search_keys, saved_views, workers),
    event_types,
)
_STATUS: dict[type[InngestPyError], int] = {NotFound: 404, Conflict: 409, TooLarge: 413}
_INTERNAL = "internal error: the server's log has more"


def add_to(app: Flask, settings: Settings, ctx: Context, mover: Mover | None = None) -> Pulse:
    """Serve the dashboard on the app; return its pulse, to be closed before the server stops.

    `mover` moves the clock of a server that has a virtual one.
    """
    pulse = Pulse(ctx)
    clock_control = None if mover is None else ClockControl(mover)
    if mover is not None:
        ctx.moved.append(lambda _: pulse.send_news())
    app.extensions[EXTENSION] = Deps(settings, ctx, pulse, Minutes(), RunCounts(), clock_control)
    # the blueprint's guard asks for a session where other routes ask for the signing key
    app.extensions.setdefault("inngest_py.guards", {})[NAME] = guard.check
    app.extensions["inngest_py.lost"] = _lost
    app.register_blueprint(blueprint)
    return pulse


blueprint.after_request(rendering.protect)
blueprint.after_request(guard.finish)
blueprint.after_request(notices.forget)
blueprint.after_request(audit.log_act)


@blueprint.errorhandler(InngestPyError)
def _ours(error: InngestPyError) -> Response:
    status = next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 400)
    return problem(error.message, status)


@blueprint.errorhandler(HTTPException)
def _http(error: HTTPException) -> Response | HTTPException:
    if error.response is not None:
        return error
    return problem(str(error.description or error.name), error.code or 500)


@blueprint.errorhandler(SQLAlchemyError)
def _database(error: SQLAlchemyError) -> Response:
    if isinstance(error, DBAPIError) and too_long(error):
        return problem("this took too long to look up: narrow the time or the filter", 503)
    observe.event("dashboard.database", level=40, **logged(error))
    if outage(error):
        return problem(f"{public_message(error)}: the page tries again by itself", 503)
    return problem(_INTERNAL, 500)


@blueprint.errorhandler(Exception)
def _unforeseen(error: Exception) -> Response:
    route = None if request.url_rule is None else request.url_rule.rule
    observe.event("api.failed", level=40, route=route, **logged(error))
    return problem(_INTERNAL, 500)


def _lost() -> Response | None:
    """Make the page for a path without a route; None if a program asks, which the API answers."""
    # browsers name text/html; programs accept anything
    is_browser = "text/html" in request.headers.get("Accept", "")
    if request.method not in ("GET", "HEAD") or not is_browser:
        return None
    try:
        guard.set_viewer()
    except (InngestPyError, SQLAlchemyError):
        g.viewer = None
    shown = rendering.protect(problem(f"there is no page at {request.path[:200]}", 404))
    shown.headers["Vary"] = "Accept"
    return shown


def problem(message: str, status: int) -> Response:
    """Answer with a page that says what is wrong."""
    viewer: Any = g.get("viewer")
    shown = viewer is not None and viewer.may(Role.VIEWER)
    if request.method == "HEAD":
        return Response(status=status)
    return rendering.page("problem.html", status, message=message, code=status, shown=shown)
