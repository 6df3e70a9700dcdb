"""The route `/v0/gql`: reads JSON, runs the query, answers with JSON (protocol: api.md §1, §5)."""

from flask import Blueprint, Response, request

from ...domain.access.roles import Role
from ...domain.errors import Invalid, TooLarge
from ...domain.values import canonical
from ...domain.values.checks import kind
from ...domain.values.json_types import JsonObject
from ..actors import used_token
from ..deps import deps
from ..errors import answer

blueprint = Blueprint("gql", __name__)


def _refuse(message: str, status: int = 400) -> Response:
    return answer({"errors": [{"message": message}], "data": None}, status)


@blueprint.post("/v0/gql")
def gql() -> Response:
    """Answer one GraphQL request."""
    if request.mimetype != "application/json":
        return _refuse("transport not supported")
    try:
        query, variables, operation = _read(request.get_data(cache=False))
    except Invalid as error:
        return _refuse(error.message)
    except TooLarge as error:
        return _refuse(error.message, 413)
    # imported and built on first use: a process that never serves GraphQL does not pay for it
    from .request import QueryContext
    from .server import run

    settings = deps().settings
    in_band = not settings.dev and settings.signing_key is not None
    token = used_token()
    role = None if token is None else Role(token.scope.value)
    asked = QueryContext(deps().ctx, settings.kind, in_band=in_band, role=role)
    done = run(asked, query, variables, operation)
    return answer(done.body, done.status)


def _read(raw: bytes) -> tuple[str, JsonObject, str | None]:
    body = canonical.loads(raw)
    if not isinstance(body, dict):
        raise Invalid(f"the request must be an object, not {kind(body)}")
    query, operation = body.get("query"), body.get("operationName")
    variables = body.get("variables")
    if not isinstance(query, str) or not query.strip():
        raise Invalid("query must be a string that holds a GraphQL query")
    if operation is not None and not isinstance(operation, str):
        raise Invalid(f"operationName must be a string, not {kind(operation)}")
    if variables is not None and not isinstance(variables, dict):
        raise Invalid(f"variables must be an object, not {kind(variables)}")
    return query, variables or {}, operation
