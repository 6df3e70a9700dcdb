"""`/api/v1/apps`: the apps, with the result of their last sync."""

from flask import Response

from ...storage.queries import app_list, function_list
from .. import shapes
from ..deps import context
from ..errors import answer
from . import openapi

blueprint = openapi.documented("apps")


@blueprint.get("/apps")
@blueprint.response(200, openapi.AppList)
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
