"""`/api/v1/apps`: the apps, with the result of their last sync."""

from flask import Response
from marshmallow import Schema, fields

from ...storage.queries import app_list, function_list
from .. import shapes
from ..deps import context
from ..errors import answer
from . import openapi

blueprint = openapi.documented("apps")


_TIME = {"format": "date-time"}


class AppShown(Schema):
    """An app; `error` is the code of its last failed sync, else null; `down_since`: not reached."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    url = fields.String(required=True)
    sdk = fields.String(required=True)
    framework = fields.String(required=True)
    error = fields.String(required=True, allow_none=True)
    error_detail = fields.String(required=True, allow_none=True)
    down_since = fields.String(required=True, allow_none=True, metadata=_TIME)
    down_cause = fields.String(required=True, allow_none=True)
    synced_at = fields.String(required=True, allow_none=True, metadata=_TIME)
    functions = fields.Integer(required=True)


class AppList(Schema):
    """Apps."""

    data = fields.List(fields.Nested(AppShown), required=True)


@blueprint.get("/apps")
@blueprint.response(200, AppList)
def list_apps() -> Response:
    """List apps; `error` is the code of the last failed sync (sync.md §2), else null.

    `down_since` says since when the app cannot be reached, null while it can.
    """
    with context().db.reading() as tx:
        found = app_list.every(tx)
        functions = function_list.every(tx, archived=False)
    return answer(
        {
            "data": [
                {
                    "id": app["id"],
                    "name": app["name"],
                    "url": app["url"],
                    "sdk": f"{app['sdk_language']}:{app['sdk_version']}".strip(":"),
                    "framework": app["framework"],
                    "error": app["error"],
                    "error_detail": app["error_detail"],
                    "down_since": shapes.stamp(app["down_since"]),
                    "down_cause": app["down_cause"],
                    "synced_at": shapes.stamp(app["synced_at"]),
                    "functions": sum(row["app_id"] == app["id"] for row in functions),
                }
                for app in found
            ]
        }
    )
