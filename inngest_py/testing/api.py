"""The server's API, which SDKs call: the real one, made at its first use."""

from flask import Flask

from ..api.app import create_app
from ..api.deps import Deps
from ..api.probe import Probe
from ..config import Settings
from ..domain.reply.read import Reply
from ..engine.runtime.context import Context
from .apps import wsgi
from .apps.calls import Request

# a dev server takes every key
_SETTINGS = Settings(dev=True, database_url="sqlite://", ui=False)


class Api:
    """The API of one process's tests. One app serves them all, each time over another context."""

    def __init__(self, ctx: Context) -> None:
        self._app: Flask = create_app(_SETTINGS, ctx)

    def call(self, ctx: Context, request: Request) -> Reply:
        """Answer a request."""
        self._app.extensions["inngest_py"] = Deps(_SETTINGS, ctx, Probe(ctx))
        return wsgi.call(self._app.wsgi_app, request)
