"""`/v1/apps`: list, add, sync and archive apps; the same under /api/v1."""

from collections.abc import Callable

from flask import Response
from flask_smorest import Blueprint
from marshmallow import Schema, fields
from sqlalchemy import RowMapping

from ...domain.errors import Conflict, NotFound
from ...domain.values.json_fields import JsonFields
from ...domain.values.json_types import JsonObject
from ...engine.apps import celery_apps, manage
from ...storage.queries import app_list
from .. import shapes
from ..actors import actor
from ..deps import context, deps
from ..errors import answer
from . import openapi

native = openapi.documented("apps")
blueprint = openapi.documented("v1_apps", prefix="/v1")


_TIME = {"format": "date-time"}


class AppShown(Schema):
    """An app; `error` is the code of its last failed sync, else null; `down_since`: not reached."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    url = fields.String(required=True)
    sdk = fields.String(required=True)
    framework = fields.String(required=True)
    method = fields.String(
        required=True,
        metadata={"description": "how it is called: serve (by HTTP), connect or celery"},
    )
    error = fields.String(required=True, allow_none=True)
    error_detail = fields.String(required=True, allow_none=True)
    down_since = fields.String(required=True, allow_none=True, metadata=_TIME)
    down_cause = fields.String(required=True, allow_none=True)
    synced_at = fields.String(required=True, allow_none=True, metadata=_TIME)
    functions = fields.Integer(required=True)


class AppList(Schema):
    """Apps."""

    data = fields.List(fields.Nested(AppShown), required=True)


class AppAnswer(Schema):
    """An app, after it was asked to sync; `error` says whether it did."""

    data = fields.Nested(AppShown, required=True)


class AppKey(Schema):
    """An app's id and name."""

    id = fields.String(required=True)
    name = fields.String(required=True)


class ArchivedAnswer(Schema):
    """Which app was archived."""

    data = fields.Nested(AppKey, required=True)


class NewAppBody(openapi.Body):
    """The app to add."""

    url = fields.Raw(
        metadata={
            "description": "of its serve endpoint",
            "example": "http://127.0.0.1:8000/api/inngest",
        }
    )


def list_apps() -> Response:
    """List apps; `error` is the code of the last failed sync (sync.md §2), else null.

    `down_since` says since when the app cannot be reached, null while it can.
    """
    with context().db.reading() as tx:
        found = app_list.every(tx)
        counts = app_list.function_counts(tx, [row["id"] for row in found])
    return answer({"data": [_shape(row, counts.get(row["id"], 0)) for row in found]})


def add(body: JsonObject) -> Response:
    """Ask the SDK at a URL to sync: its app and functions are registered.

    An app that does not answer is kept with the error, and is asked again by its next sync.
    """
    url = JsonFields(body).needed("url")
    return _asked(manage.create(context(), url, kind=_kind(), in_band=_in_band(), by=actor()))


def sync(app: str) -> Response:
    """Ask an app, by name or id, to sync again; the answer says whether it did."""
    row = _find(app)
    if row["method"] == celery_apps.METHOD:
        raise Conflict(
            f"{row['name']} is a Celery app: POST /v1/celery/{row['name']}/refresh asks its workers"
        )
    made = manage.update(
        context(), row["id"], row["url"], kind=_kind(), in_band=_in_band(), by=actor()
    )
    return _asked(made)


def archive(app: str) -> Response:
    """Archive an app, by name or id, with its functions: nothing starts them any more.

    Its runs continue, and its next sync brings it back. A Celery app is disconnected.
    """
    row = _find(app)
    if row["method"] == celery_apps.METHOD:
        celery_apps.remove(context(), row["name"], actor())
    else:
        manage.delete(context(), row["id"], actor())
    return answer({"data": {"id": row["id"], "name": row["name"]}})


def _kind() -> str:
    return deps().settings.kind


def _in_band() -> bool:
    settings = deps().settings
    return not settings.dev and settings.signing_key is not None


def _find(app: str) -> RowMapping:
    """Find an app in use by its name or id; one that has not synced yet has only an id."""

    def fits(row: RowMapping) -> bool:
        return app in (row["name"], row["id"])

    with context().db.reading() as tx:
        found = next(filter(fits, app_list.every(tx)), None)
    if found is None:
        raise NotFound(f"app {app[:64]} does not exist, or is archived: see GET /v1/apps")
    return found


def _asked(app_id: str) -> Response:
    with context().db.reading() as tx:
        row = app_list.by_ids(tx, [app_id]).get(app_id)
        functions = app_list.function_counts(tx, [app_id]).get(app_id, 0)
    if row is None:
        raise NotFound("the app was removed meanwhile")
    return answer({"data": _shape(row, functions)})


def _shape(row: RowMapping, functions: int) -> JsonObject:
    return {
        "id": row["id"],
        "name": row["name"],
        "url": row["url"],
        "sdk": f"{row['sdk_language']}:{row['sdk_version']}".strip(":"),
        "framework": row["framework"],
        "method": row["method"],
        "error": row["error"],
        "error_detail": row["error_detail"],
        "down_since": shapes.stamp(row["down_since"]),
        "down_cause": row["down_cause"],
        "synced_at": shapes.stamp(row["synced_at"]),
        "functions": functions,
    }


def _documented(routes: Blueprint, view: Callable[..., Response], *codes: int) -> object:
    for code in codes:
        view = routes.alt_response(code, schema=openapi.Problem)(view)
    return view


def _add_to(routes: Blueprint) -> None:
    """Add the routes to a blueprint."""
    routes.get("/apps")(routes.response(200, AppList)(list_apps))
    added = routes.response(200, AppAnswer)(_documented(routes, add, 400, 404))
    routes.post("/apps")(routes.arguments(NewAppBody)(added))
    synced = routes.response(200, AppAnswer)(_documented(routes, sync, 400, 404, 409))
    routes.post("/apps/<path:app>/sync")(synced)
    archived = routes.response(200, ArchivedAnswer)(_documented(routes, archive, 404))
    routes.post("/apps/<path:app>/archive")(archived)


for _routes in (native, blueprint):
    _add_to(_routes)
