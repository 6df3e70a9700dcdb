"""Apps."""

from collections.abc import Sequence

from ariadne import ObjectType
from sqlalchemy import RowMapping

from ...domain.errors import NotFound
from ...storage.queries import app_list
from .request import Info, of
from .root import query

app_type = ObjectType("App")


@query.field("apps")
def list_apps(_: object, info: Info, filter: dict[str, str] | None = None) -> Sequence[RowMapping]:
    """List apps, oldest first."""
    request = of(info)
    method = (filter or {}).get("method")
    found = request.read(app_list.every)
    if method is not None:
        found = [row for row in found if row["method"] == method.lower()]
    request.app_functions.want(row["id"] for row in found)
    return request.count_rows(found)


@query.field("app")
def show_app(_: object, info: Info, id: str) -> RowMapping:
    """Find an app."""
    found = of(info).apps.get(id)
    if found is None:
        raise NotFound(f"app {id} does not exist")
    return found


@app_type.field("name")
@app_type.field("externalID")
def name(app: RowMapping, _: Info) -> str:
    """Return the name, or the URL of an app that was never synced."""
    return str(app["name"] or app["url"])


@app_type.field("functions")
def functions(app: RowMapping, info: Info) -> Sequence[RowMapping]:
    """List the app's functions that are not archived."""
    request = of(info)
    request.apps.want([app["id"]])
    found = request.app_functions.get(app["id"]) or []
    request.outcomes.want(row["id"] for row in found)
    return request.count_rows(found)


@app_type.field("functionCount")
def function_count(app: RowMapping, info: Info) -> int:
    """Count the app's functions that are not archived."""
    return len(of(info).app_functions.get(app["id"]) or [])


@app_type.field("connected")
def connected(app: RowMapping, _: Info) -> bool:
    """Say whether the last sync or call went well."""
    in_sync = app["error"] is None and app["synced_at"] is not None
    return in_sync and app["down_since"] is None


@app_type.field("method")
def method(app: RowMapping, _: Info) -> str:
    """Return how the app is reached."""
    return str(app["method"]).upper()


for _name, _column in {
    "sdkLanguage": "sdk_language",
    "sdkVersion": "sdk_version",
    "autodiscovered": "discovered",
    "appVersion": "app_version",
    "downSince": "down_since",
    "downCause": "down_cause",
}.items():
    app_type.set_alias(_name, _column)


TYPES = (app_type,)
