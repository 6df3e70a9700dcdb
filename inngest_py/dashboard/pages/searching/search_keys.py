"""The form of a function's search keys."""

from flask import request
from werkzeug.wrappers import Response as AnyResponse

from ....domain.access.roles import Role
from ....domain.errors import Invalid
from ....domain.values.json_types import JsonObject
from ....engine.admin import search_keys
from ...deps import context, read
from ...parts.notices import leave
from ...rendering import url
from ...routes import route
from ..audit import actor
from ..functions import find, show


@route("/functions/<function_id>/search-keys", Role.OPERATOR, methods=("POST",))
def function_search_keys(function_id: str) -> AnyResponse:
    """Declare the search keys of a function, in place of those that it has."""
    row = read(lambda tx: find(tx, function_id))
    try:
        wanted = _keys(request.form.get("keys", ""))
        search_keys.put(context(), row["id"], {"keys": wanted}, actor())
    except Invalid as error:
        return show(function_id, status=400, wrong_keys=error.message)
    return leave(url("function", function_id=row["id"]), "search-keys")


def _keys(text: str) -> JsonObject:
    """Read lines of a name, = and a path. Raises Invalid."""
    found: JsonObject = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, sign, path = (part.strip() for part in line.partition("="))
        if not (name and sign and path):
            raise Invalid(f"{line[:80]!r} must be a name, = and a path of the event", field="keys")
        if name in found:
            raise Invalid(f"{name[:80]} is given twice", field="keys")
        found[name] = path
    return found
