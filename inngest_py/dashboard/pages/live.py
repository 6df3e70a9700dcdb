"""The stream that tells open pages to fetch their content again."""

from flask import Response, request

from ...domain.access.roles import Role
from ...hosting import NO_STREAMS
from ..deps import deps
from ..routes import route

MOST_VIEWERS = 200


@route("/ui/live", Role.VIEWER)
def live() -> Response:
    """Stream news."""
    if NO_STREAMS in request.environ:
        return Response(status=204)  # browsers do not ask again
    pulse = deps().pulse
    if pulse.viewers >= MOST_VIEWERS:
        return Response("too many viewers: reload later", 503, mimetype="text/plain")
    news = pulse.stream(request.args.get("seen", type=int))
    answered = Response(news, mimetype="text/event-stream")
    answered.headers["Cache-Control"] = "no-store"
    answered.headers["X-Accel-Buffering"] = "no"  # otherwise proxies would delay events
    return answered
