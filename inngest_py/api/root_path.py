"""Serve under a path: `https://tools.example.com/inngest` behind a proxy.

The path is the one of the settings, or what a trusted proxy says in X-Forwarded-Prefix. A proxy may
pass it on or take it off: it is taken off where a request still has it. URLs that the server writes
begin with it, by WSGI's SCRIPT_NAME.
"""

import re
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Flask
from werkzeug.wrappers import Request

from .. import proxies
from ..config import Settings
from ..config_checks import ROOT_PATH
from ..domain.errors import Invalid

_HEADER = "HTTP_X_FORWARDED_PREFIX"


def before(app: WSGIApplication, settings: Settings) -> WSGIApplication:
    """Make an app that serves another one under the path of the settings, or of the proxy."""
    if not settings.root_path and not settings.ui_proxies:
        return app

    def under(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        root = _forwarded(settings, environ) or settings.root_path
        if root:
            path = environ.get("PATH_INFO", "")
            if path == root or path.startswith(f"{root}/"):
                environ["PATH_INFO"] = path[len(root) :] or "/"
            environ["SCRIPT_NAME"] = root
        return app(environ, start_response)

    return under


def _forwarded(settings: Settings, environ: WSGIEnvironment) -> str | None:
    """Return the path that a trusted proxy names; None if there is none, or it is no path."""
    given = str(environ.get(_HEADER, "")).rstrip("/")
    if not re.fullmatch(ROOT_PATH, given) or not proxies.is_trusted(settings, Request(environ)):
        return None
    return given


def check(app: Flask, settings: Settings) -> None:
    """Refuse a path that begins as one of the app's own routes does. Raises Invalid.

    A request whose proxy has taken the path off could not be told from one that still has it.
    """
    first = settings.root_path.split("/")[1:2]
    own = {rule.rule.split("/")[1] for rule in app.url_map.iter_rules()}
    if own.intersection(first):
        text = f"the server has routes of its own that begin with /{first[0]}"
        raise Invalid(f"{text}: use another path (--root-path)", field="root_path")
