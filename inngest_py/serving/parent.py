"""The parent of several API processes: it prepares the database, listens, and supervises.

It answers no request, so it lives when a process does not. It heeds all signals of a terminal, and
tells the processes what to do.
"""

import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

import click
import gevent

from .. import observe
from ..api.gateway.serving import Gateway
from ..config import Settings
from ..domain.errors import Invalid
from ..engine.runtime.context import Context
from ..tasks.app import create_celery
from ..tasks.unexpected import log_and_count
from ..tasks.worker.steps import wait_for_schema
from . import preparing, sockets
from .api_processes import ApiProcesses
from .application import Application
from .stopping import Stopping
from .supervisor import LEAST_DRAIN, Workers


class Parent:
    """Keeps API processes, and stops them with the `workers` beside them."""

    def __init__(self, settings: Settings, workers: Workers | None) -> None:
        self._settings, self._workers = settings, workers
        self._celery = create_celery(settings)
        self._processes: ApiProcesses | None = None
        self._stopping = Stopping(self._cut)
        self._folder: Path | None = None

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        # processes that begin have this, too, until they heed it
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        self._stopping.heed()
        log_and_count()
        self._prepare()
        self._stopping.waits = False
        folder = self._folder = _folder_of_metrics()
        try:
            self._processes = processes = self._listen(folder)
            processes.start()
            self._stopping.stopped.wait()
            observe.event("server.stopping")
            processes.unready()
            self._stopping.in_a_hurry.wait(self._settings.drain_delay_seconds)
            self._end(processes)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _end(self, processes: ApiProcesses) -> None:
        """Stop the workers, then the API, to which apps report during calls."""
        deadline = time.monotonic() + self._settings.grace_seconds
        least = 0.0
        if self._workers is not None:
            self._workers.stop()
            least = LEAST_DRAIN
        processes.stop(max(deadline - time.monotonic(), least))

    def _prepare(self) -> None:
        settings, runtime = self._settings, self._celery.runtime
        preparing.make_file(settings)
        ctx = runtime.context()
        try:
            preparing.bring_up_to_date(ctx, settings)
            wait_for_schema(ctx)
            preparing.connect_celery_apps(ctx, settings)
            _check(settings, ctx)
        finally:
            self._celery.hinter.stop()
            runtime.close()

    def _listen(self, folder: Path) -> ApiProcesses:
        connect, settings = sockets.bind_for_workers(self._settings)
        api = sockets.bind(settings.host, settings.port)
        return ApiProcesses(settings, api, connect, folder)

    def _cut(self) -> None:
        """End all processes at once, which takes some seconds."""
        found = [one for one in (self._workers, self._processes) if one is not None]
        gevent.joinall([gevent.spawn(one.cut) for one in found])
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        os._exit(1)


def _folder_of_metrics() -> Path:
    """Make the folder in which the processes count together. Raises ClickException."""
    try:
        return Path(tempfile.mkdtemp(prefix="inngest-metrics-"))
    except OSError as error:
        text = f"several API processes count in files of a temporary folder: {error.strerror}"
        raise click.ClickException(f"{text}; name a folder in TMPDIR that can be written") from None


def _check(settings: Settings, ctx: Context) -> None:
    """Refuse what no API process could begin with, such as a root path that is taken."""
    try:
        Application(settings, ctx, Gateway(ctx, 1)).close()
    except Invalid as error:
        raise click.ClickException(error.message) from None
