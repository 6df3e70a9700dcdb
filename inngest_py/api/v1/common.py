"""What the routes of /v1 share: the blueprint, the envelope, and functions to read parameters."""

from datetime import datetime
from typing import Any

from flask import Blueprint, Response, request

from ...domain.errors import Invalid
from ...domain.values import canonical, ids
from ...domain.values.json_fields import JsonFields
from .. import shapes
from ..deps import context
from ..errors import answer

blueprint = Blueprint("v1", __name__, url_prefix="/v1")


def enveloped(data: object) -> Response:
    """Answer with data and metadata (api.md §1)."""
    return answer({"data": data, "metadata": {"fetched_at": shapes.stamp(context().now())}})


def body() -> Any:
    """Read the request's JSON; raises Invalid."""
    return canonical.loads(request.get_data(cache=False))


def ulid(text: str, what: str) -> str:
    """Check an id; raises Invalid."""
    if not ids.is_ulid(text):
        raise Invalid(f"{text[:64]!r} is no {what} id: a ULID has 26 characters", field=what)
    return text


def limit(default: int, most: int) -> int:
    """Read the query's limit, cut to 1 … `most`; raises Invalid if it is not a number."""
    text = request.args.get("limit")
    if text is None:
        return default
    try:
        return max(1, min(int(text), most))
    except ValueError:
        raise Invalid("limit must be a whole number", field="limit") from None


def moment(name: str) -> datetime | None:
    """Read a time of the query; raises Invalid."""
    return JsonFields(request.args).time(name)
