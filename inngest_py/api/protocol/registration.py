"""`/fn/register`, `/fn/remove` and `/dev` (protocol: sync.md §4, §9, §10)."""

from flask import Blueprint, Response, request

from ...domain.errors import Invalid
from ...domain.functions.registration import parse_registration
from ...domain.values import canonical
from ...engine.apps import register
from ...storage.queries import function_list
from ...version import __version__
from ..actors import actor
from ..deps import context, deps
from ..errors import answer, public_error

blueprint = Blueprint("registration", __name__)


@blueprint.route("/fn/register", methods=["POST", "PUT"])
def sync() -> Response:
    """Store the app and functions that an SDK registers."""
    expected = request.headers.get("X-Inngest-Expected-Server-Kind", "")
    kind = deps().settings.kind
    if expected and expected != kind:
        return answer({"error": f"Expected server kind {expected}, got {kind}"}, 400)
    try:
        payload = canonical.loads(request.get_data(cache=False))
    except Invalid as error:
        return answer({"error": f"Invalid request: {error.message}"}, 400)
    try:
        done = register.register(context(), parse_registration(payload))
    except Invalid as error:
        register.refuse(context(), payload, error)
        message = error.message
        if (error.field or "").startswith("functions"):
            message = f"At least one function is invalid: {message}"
        return public_error(message, 400, code=error.code, data={"field": error.field})
    return answer(
        {"ok": True, "modified": done.modified, "sync_id": done.sync_id, "app_id": done.app_id}
    )


@blueprint.delete("/fn/remove")
def remove() -> Response:
    """Archive the app at a URL; its runs continue, and its history stays."""
    url = request.args.get("url", "")
    if not url:
        raise Invalid("url is missing: name the app by the URL it serves at, as ?url=", field="url")
    register.remove(context(), url, actor())
    return Response(status=200)


@blueprint.get("/dev")
def dev() -> Response:
    """Answer SDKs and test harnesses that look for a dev server."""
    settings = deps().settings
    if not settings.dev:
        return public_error("not a dev server", 404)
    with context().db.reading() as tx:
        functions = function_list.every(tx, archived=False)
    return answer(
        {
            "version": __version__,
            "authed": False,
            "startOpts": {
                "dir": "",
                "urls": list(settings.sdk_urls),
                "autodiscover": settings.discovery,
                "poll": settings.polls,
                "poll_interval": settings.ping_seconds,
                "tick": settings.tick_ms * 1_000_000,
                "retry_interval": settings.retry_interval or 0,
                "queue_workers": settings.concurrency,
                "require_keys": False,
            },
            "functions": [
                {"id": row["id"], "name": row["name"], "slug": row["slug"]} for row in functions
            ],
            "handlers": None,
            "isSingleNodeService": settings.embedded,
            "isMissingSigningKey": False,
            "isMissingEventKeys": False,
            "features": {},
        }
    )
