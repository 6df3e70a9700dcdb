"""What the routes of /v2 share: the blueprint, the envelope, and functions to read a request."""

import re
from datetime import datetime

import orjson
from flask import Blueprint, Response, request

from ...domain.errors import Invalid
from ...domain.values import canonical, ids
from ...domain.values.json_fields import JsonFields
from ...domain.values.json_types import JsonObject
from ...storage.queries.paging import Order, Position
from .. import shapes
from ..deps import context
from ..errors import answer

PREFIXES = ("/v2", "/api/v2")
_DEFAULT_LIMIT, _MOST = 20, 100
_FORMAT = "invalid_field_format"

blueprint = Blueprint("v2", __name__)


def raw(text: str) -> orjson.Fragment:
    """Put stored JSON into an answer unchanged: compact() leaves the users' zeros in it."""
    return orjson.Fragment(text)


def compact(value: object) -> object:
    """Leave unset and zero values out of a message, at every depth (api.md §4)."""
    if isinstance(value, dict):
        found = {key: compact(item) for key, item in value.items()}
        return {key: item for key, item in found.items() if not _is_zero(item)}
    return [compact(item) for item in value] if isinstance(value, list) else value


def _is_zero(value: object) -> bool:
    return value is None or (isinstance(value, str | bool | int | float | list) and not value)


def enveloped(data: object, page: JsonObject | None = None) -> Response:
    """Answer with data and metadata, and with the page if there is one."""
    metadata = {"fetchedAt": shapes.stamp(context().now())}
    return answer(compact({"data": data, "metadata": metadata, "page": page}))


def snake(name: str) -> str:
    """Write a camelCase name with underscores."""
    return re.sub(r"[A-Z]", lambda found: "_" + found[0].lower(), name)


class Message(JsonFields):
    """A request's JSON object, whose names may be camelCase or have underscores."""

    CODE = _FORMAT
    MISSING_CODE = "missing_field"
    size = 0  # in bytes, of a whole body

    def get(self, key: str) -> object:
        """Read a field; None when it is absent."""
        value = self.given.get(key)
        return self.given.get(snake(key)) if value is None else value


def _format(message: str, field: str) -> Invalid:
    return Invalid(message, field=field, code=_FORMAT)


def body(*, optional: bool = False) -> Message:
    """Read the request's JSON object; raises Invalid."""
    given = request.get_data(cache=False)
    found = Message({} if optional and not given.strip() else canonical.loads(given))
    found.size = len(given)
    return found


def arg(name: str) -> str | None:
    """Read a parameter of the query; None when it is absent or empty."""
    return request.args.get(name) or request.args.get(snake(name)) or None


def args(name: str) -> list[str]:
    """Read a parameter that may be given many times."""
    found = (request.args.getlist(each) for each in (name, f"{name}[]", snake(name)))
    return list(dict.fromkeys(value for values in found for value in values if value))


def flag(name: str) -> bool | None:
    """Read a boolean of the query; None when it is absent."""
    value = arg(name)
    if value is None:
        return None
    if value.lower() not in ("true", "false", "1", "0"):
        raise _format(f"{name} must be true or false", name)
    return value.lower() in ("true", "1")


def moment(name: str) -> datetime | None:
    """Read a time of the query; None when it is absent."""
    return Message(request.args).time(name)


def limit() -> int:
    """Read the size of a page."""
    value = arg("limit")
    if value is None:
        return _DEFAULT_LIMIT
    try:
        number = int(value)
    except ValueError:
        raise _format("limit must be a whole number", "limit") from None
    if not 1 <= number <= _MOST:
        raise _format(f"limit must lie between 1 and {_MOST}", "limit")
    return number


def ulid(text: str, what: str) -> str:
    """Check an id of the path; raises Invalid."""
    if not ids.is_ulid(text):
        raise _format(f"{text[:64]!r} is no {what} id: a ULID has 26 characters", f"{what}Id")
    return text


def cursor(order: Order) -> Position | None:
    """Read the position after which the page begins, in a list's order; None without one."""
    return order.position_of(arg("cursor"))


def paged(cursor: str | None, most: int) -> JsonObject:
    """Describe a page by the cursor of the next one; None is the list's end."""
    return {"cursor": cursor, "hasMore": cursor is not None, "limit": most}
