"""The WebSockets of subscribers: accepted before Flask, whose request would last as long."""

from collections.abc import Callable, Iterable
from socket import socket
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import orjson

from ...domain.access import tokens
from ...domain.errors import Invalid
from ...domain.realtime import topics
from ...engine.runtime.context import Context
from ...hosting import NO_WEB_SOCKETS, WEB_SOCKETS_ELSEWHERE
from ..gateway.serving import TAKE_SOCKET
from .session import Session

PATH = "/v1/realtime/connect"
_HEADERS = [("Content-Type", "application/json"), ("Access-Control-Allow-Origin", "*")]
NOT_AUTHENTICATED = {"error": "Not authenticated", "data": None, "status": 401}


class Sockets:
    """The WebSocket subscribers of this process."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._secrets = tokens.secrets(ctx.tuning.signing_keys)

    def before(self, app: WSGIApplication) -> WSGIApplication:
        """Make an app that serves the WebSockets, too."""

        def both(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            take: Callable[[], socket] | None = environ.get(TAKE_SOCKET)
            if environ.get("PATH_INFO") != PATH or "HTTP_UPGRADE" not in environ:
                return app(environ, start_response)
            if take is None:
                why = environ.get(NO_WEB_SOCKETS, WEB_SOCKETS_ELSEWHERE)
                start_response("501 Not Implemented", _HEADERS)
                return [orjson.dumps({"error": why, "data": None, "status": 501})]
            return self._serve(environ, start_response, take)

        return both

    def _serve(
        self,
        environ: WSGIEnvironment,
        start_response: StartResponse,
        take: Callable[[], socket],
    ) -> Iterable[bytes]:
        try:
            now_s = self._ctx.real_now().timestamp()
            asked = topics.subscribed_to(_token(environ), self._secrets, now_s)
        except Invalid:
            start_response("401 Unauthorized", _HEADERS)
            return [orjson.dumps(NOT_AUTHENTICATED)]
        session = Session(self._ctx, take(), environ, self._secrets)
        session.run(asked)
        return []


def _token(environ: WSGIEnvironment) -> str:
    scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return str(token).strip()
    return str(parse_qs(environ.get("QUERY_STRING", "")).get("token", [""])[0])
