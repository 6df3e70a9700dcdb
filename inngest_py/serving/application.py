"""The WSGI app of an API process: routes, pages and WebSockets, under the root path."""

import resource
import sys
from collections.abc import Iterable
from contextlib import suppress
from wsgiref.types import StartResponse, WSGIEnvironment

from .. import observe
from ..api import root_path
from ..api.app import create_app
from ..api.gateway.serving import Gateway
from ..api.realtime.sockets import Sockets
from ..config import Settings
from ..dashboard import app as dashboard
from ..dashboard.live.news import Pulse
from ..engine.clock.mover import Mover
from ..engine.runtime.context import Context
from ..metrics.counters import Counters
from ..metrics.shared import SharedMetrics

_OTHER_FILES = 300  # that are no connections of workers: databases, brokers, requests, apps


class Application:
    """Serves the API of one process; it is made in that process, after its last fork.

    `mover` moves the clock of a server that has a virtual one. `shared` are the metrics of several
    processes; None for a process that shows its own. Raises Invalid for a root path that is taken.
    """

    def __init__(
        self,
        settings: Settings,
        ctx: Context,
        gateway: Gateway,
        mover: Mover | None = None,
        shared: SharedMetrics | None = None,
    ) -> None:
        self._ctx, self._gateway = ctx, gateway
        self._counters = Counters(ctx.catalog.slug_of)
        self._counters.connect()
        self._pulse: Pulse | None = None
        app = create_app(settings, ctx, self._counters, mover, shared)
        if settings.ui:
            self._pulse = dashboard.add_to(app, settings, ctx, mover)
        root_path.check(app, settings)
        self._wsgi = root_path.before(Sockets(ctx).before(gateway.before(app)), settings)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        return self._wsgi(environ, start_response)

    def close_streams(self, seconds: float) -> None:
        """End live pages, subscriptions and connections of workers, which would delay a stop."""
        if self._pulse is not None:
            self._pulse.close()
        self._ctx.hub.close(seconds)
        self._gateway.stop(seconds)

    def close(self) -> None:
        """Count no more."""
        self._counters.disconnect()


def raise_file_limit() -> int:
    """Let this process open as many files as the system allows it; return how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def most_connections(settings: Settings) -> int:
    """Say how many workers may connect; each connection is an open file."""
    asked, files = settings.connect_max_connections, raise_file_limit()
    most = max(1, min(asked, files - _OTHER_FILES))
    if most < asked:
        observe.event("connect.few_files", level=20, connections=most, files=files)
    return most
