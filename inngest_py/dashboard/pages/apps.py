"""The page of apps: whether they are in sync, and what to do if they are not."""

from collections.abc import Mapping
from typing import NamedTuple

from flask import Response, request
from sqlalchemy import Connection, RowMapping
from werkzeug.wrappers import Response as AnyResponse

from ...domain.access.roles import Role
from ...domain.errors import Invalid, NotFound
from ...domain.reports.connected_workers import ConnectedWorker
from ...engine.apps import celery_apps
from ...engine.apps import manage as moves
from ...storage.queries import app_list, celery_app_list, function_list, worker_list
from ..deps import context, deps, read
from ..parts.celery_cards import card
from ..parts.notices import leave
from ..rendering import page, url
from ..routes import route
from .audit import actor

_MOST_GONE = 5  # workers of an app that are shown though they are not connected any more
_FIXES = {
    "unreachable": "Nothing answers at the URL: start the app, or correct the URL.",
    "url_not_found": "The app answers 404: the URL must be that of its serve endpoint,"
    " often /api/inngest.",
    "not_sdk": "The program at the URL is not an Inngest SDK: correct the URL.",
    "unauthorized": "The app refused the signature: give app and server the same signing key.",
    "forbidden": "The app answers 403: let the server's requests pass.",
    "unsupported_protocol": "TLS failed: use http:// for an app that serves plain HTTP.",
    "host_not_allowed": "The settings do not allow calls to the host: see INNGEST_CALL_HOSTS.",
    "no_functions": "The app serves no functions: pass them to serve().",
    "internal_server_error": "The app answered with an error: look into its log.",
    "config_invalid": "The app's configuration was refused: the details name the field.",
    "app_name_empty": "The app has no id: give its client one.",
    "broker_away": "The app's broker does not answer.",
    "broker_url": "The app's broker cannot be used as it was given.",
    "missing_branch_env_name": "The app names no environment: set INNGEST_ENV there.",
}


class _Found(NamedTuple):
    apps: list[RowMapping]
    functions: dict[str, list[RowMapping]]
    celery: list[RowMapping]
    workers: list[ConnectedWorker]


@route("/apps", Role.VIEWER)
def apps() -> Response:
    """List apps with their state."""
    return show()


def show(
    problem: str | None = None,
    status: int = 200,
    *,
    wrong: Mapping[str, str] | None = None,
    no_url: str | None = None,
) -> Response:
    """Make the page; `wrong` says by field what was wrong with the form for Celery apps.

    `no_url` says what was wrong with the URL of an SDK's app.
    """
    now = context().now()

    def load(tx: Connection) -> _Found:
        found = app_list.every(tx)
        functions = function_list.of_apps(tx, [row["id"] for row in found])
        connect = any(row["method"] == "connect" for row in found)
        workers = worker_list.shown(tx, now) if connect else []
        return _Found(found, functions, celery_app_list.every(tx), workers)

    found, functions, celery, workers = read(load)
    return page(
        "apps.html",
        status,
        apps=found,
        functions=functions,
        fixes=_FIXES,
        workers={row["id"]: _of_app(workers, row["id"]) for row in found},
        cards={row["app_id"]: card(row, functions[row["app_id"]], now) for row in celery},
        problem=problem,
        given=request.form.get("url", ""),
        celery=request.form if wrong is not None else {},
        wrong=wrong or {},
        wrong_app={} if no_url is None else {"url": no_url},
    )


def _of_app(workers: list[ConnectedWorker], app_id: str) -> list[ConnectedWorker]:
    """List the workers of an app: all that are connected, and some of those that are gone."""
    mine = [one for one in workers if app_id in one.groups]
    gone = [one for one in mine if not one.is_open]
    return [one for one in mine if one.is_open] + gone[:_MOST_GONE]


@route("/apps/add", Role.OPERATOR, methods=("POST",))
def app_add() -> AnyResponse:
    """Ask the SDK at a URL to sync."""
    given = request.form.get("url", "").strip()
    if not given:
        return show(None, 400, no_url="write the URL of the app's serve endpoint")
    try:
        kind, in_band = deps().settings.kind, deps().in_band
        app_id = moves.create(context(), given, kind=kind, in_band=in_band, by=actor())
    except Invalid as error:
        return show(None, 400, no_url=error.message)
    return _asked(app_id)


@route("/apps/<app_id>/sync", Role.OPERATOR, methods=("POST",))
def app_sync(app_id: str) -> AnyResponse:
    """Ask an app to sync again."""
    row = _find(app_id)
    kind, in_band = deps().settings.kind, deps().in_band
    try:
        app = moves.update(context(), row["id"], row["url"], kind=kind, in_band=in_band, by=actor())
    except Invalid as error:  # the settings do not allow its host any more
        return show(error.message, 400)
    return _asked(app)


def _asked(app_id: str) -> AnyResponse:
    done = "synced" if _find(app_id)["error"] is None else "not-synced"
    return leave(url("apps"), done)


@route("/apps/<app_id>/archive", Role.ADMIN, methods=("POST",))
def app_archive(app_id: str) -> AnyResponse:
    """Archive an app and its functions."""
    row = _find(app_id)
    if row["method"] == celery_apps.METHOD:
        celery_apps.remove(context(), row["name"], actor())
        return leave(url("apps"), "disconnected")
    moves.delete(context(), row["id"], actor())
    return leave(url("apps"), "archived")


def _find(app_id: str) -> RowMapping:
    found = read(lambda tx: app_list.by_ids(tx, [app_id])).get(app_id)
    if found is None:
        raise NotFound(f"app {app_id[:64]} does not exist")
    return found
