"""`GET /v2/keys/events` and `/keys/signing`: the keys that are configured."""

import uuid
from collections.abc import Sequence

from flask import Response

from ...domain.values import cursors
from ...domain.values.json_types import JsonObject
from ..actors import bearer_key
from ..deps import deps
from .common import arg, blueprint, enveloped, limit, paged

_SHOWN_CHARS = 4
_ORDER = "number+"


@blueprint.get("/keys/events")
def event_keys() -> Response:
    """List the event keys."""
    return _listed("Event key", deps().settings.event_keys)


@blueprint.get("/keys/signing")
def signing_keys() -> Response:
    """List the signing keys."""
    return _listed("Signing key", deps().settings.signing_keys)


def _listed(name: str, keys: Sequence[str]) -> Response:
    most, given = limit(), arg("cursor")
    start = cursors.decode(_ORDER, [int], given, "cursor")[0] if given else 0
    end = start + most
    found = [_shape(name, number, key) for number, key in enumerate(keys)][start:end]
    following = cursors.encode(_ORDER, [end]) if end < len(keys) else None
    return enveloped(found, paged(following, most))


def _shape(name: str, number: int, key: str) -> JsonObject:
    settings = deps().settings
    # who has sent the signing key may see keys: not anybody, nor a token, which can be revoked
    known = not settings.dev and bearer_key() is not None
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{name}:{number}")),
        "name": f"{name} {number + 1}",
        "environment": "dev" if settings.dev else "production",
        "key": key if known else key[:_SHOWN_CHARS] + "…",
    }
