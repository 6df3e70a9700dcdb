"""What a process of another HTTP server has of ours, made after its last fork."""

import os
import random
import socket
import sys
import tempfile
import time
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from wsgiref.types import StartResponse, WSGIEnvironment

import click

from .. import hosting, observe, tracing
from ..api.gateway.serving import TAKE_SOCKET, Gateway
from ..config import Settings
from ..domain.errors import InngestPyError
from ..metrics.shared import SharedMetrics
from ..storage.db.outages import logged
from ..tasks.app import create_celery
from ..tasks.kombu.gevent_patching import patch_early
from ..tasks.runtime import Runtime, under_gevent
from ..tasks.unexpected import log_and_count
from ..tasks.worker import garbage
from ..tasks.worker.steps import wait_for_schema
from . import preparing
from .application import Application, most_connections
from .foreign_sockets import socket_of
from .services import Services

_CLOSE_SECONDS = 3.0
_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


class HostedProcess:
    """The API in this process, with all that runs beside it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._is_green = under_gevent()
        if self._is_green:
            patch_early()
        self._celery = create_celery(settings)
        self._runtime: Runtime = self._celery.runtime
        self._stop_tracing = _nothing
        self._shared: SharedMetrics | None = None
        self._is_drained = False

    def begin(self) -> None:
        """Make the API, as soon as the database is there. Raises what cannot be waited for."""
        settings, runtime = self._settings, self._runtime
        random.seed()  # uWSGI forks behind Python's back: its processes would draw the same
        log_and_count()
        runtime.slots = settings.concurrency
        preparing.make_file(settings)
        ctx = self._ctx = runtime.context()
        self._stop_tracing = tracing.start(os.environ)
        preparing.bring_up_to_date(ctx, settings)
        wait_for_schema(ctx)
        runtime.read_rows()
        preparing.connect_celery_apps(ctx, settings)
        self._shared = _shared()
        self._gateway = Gateway(ctx, most_connections(settings))
        self._application = Application(settings, ctx, self._gateway, None, self._shared)
        name = f"{socket.gethostname()}, process {os.getpid()}"
        self._services = Services(settings, self._celery, ctx, name, self._shared)
        self._services.start()
        self._services.run_connected_items()
        self._services.look_for_apps()
        garbage.freeze_objects()
        number = None if self._shared is None else self._shared.number
        observe.event("server.ready", process=number, pid=os.getpid())

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        if not environ.get("wsgi.multithread") and not self._is_green:
            environ[hosting.NO_STREAMS] = hosting.STREAMS_ELSEWHERE
        given = socket_of(environ)
        if given is None:
            environ[hosting.NO_WEB_SOCKETS] = hosting.WEB_SOCKETS_ELSEWHERE
        if given is None or "HTTP_UPGRADE" not in environ:
            return self._application(environ, start_response)
        environ[TAKE_SOCKET] = given.take
        return given.after(self._application(environ, start_response))

    def drain(self) -> None:
        """Take no more work, and end streams and WebSockets; requests are still answered."""
        if self._is_drained:
            return
        self._is_drained = True
        observe.event("server.stopping")
        self._ctx.stopping.set()
        self._services.look_no_more()
        self._gateway.drain()
        self._services.end_connected_items(time.monotonic() + self._settings.grace_seconds)
        self._application.close_streams(_CLOSE_SECONDS)

    def close(self) -> None:
        """Close connections; the process ends."""
        self._services.stop()
        self._application.close()
        self._celery.hinter.stop()
        self._runtime.close()
        self._stop_tracing()
        if self._shared is not None:
            self._shared.close()


def told(error: BaseException) -> str:
    """Log why a process cannot begin, and return it for callers."""
    if isinstance(error, click.ClickException | InngestPyError):
        observe.event("server.not_begun", level=50, error=error.message)
        return f"the server could not begin: {error.message}"
    if not isinstance(error, SystemExit):  # which was told before
        observe.event("server.not_begun", level=50, **logged(error))
    return "the server could not begin: its log says why"


def _nothing() -> None:
    pass


def _shared() -> SharedMetrics | None:
    """Count with the other processes of this server; alone if nothing says which these are."""
    folder = _folder()
    if folder is None:
        return None
    try:
        return SharedMetrics(folder)
    except OSError as error:
        text = f"{folder}: {error.strerror}"
        observe.event("metrics.not_shared", level=30, error=text, fix=f"set {_FOLDER}")
        return None


def _folder() -> Path | None:
    """Name a folder that the processes of this server share, and no others."""
    given = os.environ.get(_FOLDER)
    if given:
        return Path(given) / "inngest-api"
    parent = os.getppid() if "gunicorn.arbiter" in sys.modules else _master_of_uwsgi()
    if not parent:
        return None
    return Path(tempfile.gettempdir()) / f"inngest-metrics-{os.geteuid()}-{parent}"


def _master_of_uwsgi() -> int:
    try:
        return int(import_module("uwsgi").masterpid())
    except ImportError:
        return 0
