"""What the routes of /v2 share: the blueprint, the envelope, and functions to read a request."""

import base64
import binascii
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
from flask import Blueprint, Response, request

from ...domain.errors import Invalid
from ...domain.values import canonical, ids, times
from ...domain.values.json_fields import JsonFields
from ...domain.values.json_types import JsonObject
from .. import shapes
from ..deps import context
from ..errors import answer

PREFIXES = ("/v2", "/api/v2")
_MAX_CURSOR_CHARS = 4096
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
    value = arg(name)
    if value is None:
        return None
    try:
        return times.parse_time(value)
    except Invalid:
        raise _format(f"{name} must be an RFC 3339 time", name) from None


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


def cursor(kinds: tuple[type, ...]) -> list[Any] | None:
    """Read the position after which the page begins, as values of these types; None without one."""
    text = arg("cursor")
    if text is None:
        return None
    wrong = _format("cursor is not one of this server's: leave it out", "cursor")
    if len(text) > _MAX_CURSOR_CHARS or not text.isascii():
        raise wrong
    try:
        found = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError):
        raise wrong from None
    if not isinstance(found, list) or len(found) != len(kinds):
        raise wrong
    if not all(type(value) is kind for value, kind in zip(found, kinds, strict=True)):
        raise wrong
    if any(isinstance(value, str) and "\0" in value for value in found):
        raise wrong
    return found


def page(rows: Sequence[object], most: int, position: list[object] | None) -> JsonObject:
    """Describe a page; `rows` may have one row more than `most`, which means that more follow."""
    more = len(rows) > most
    token = None
    if more and position is not None:
        token = base64.urlsafe_b64encode(orjson.dumps(position)).decode().rstrip("=")
    return {"cursor": token, "hasMore": more, "limit": most}
