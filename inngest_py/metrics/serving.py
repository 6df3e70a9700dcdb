"""Serving a worker's counters on a port of their own.

Every machine's Prometheus target is the worker itself, as Prometheus expects it: a worker that is
gone is a target that is down, and its counters end with it. Prefork's children count in files of a
folder, which the parent adds up.
"""

import os
import shutil
import tempfile
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, multiprocess, start_http_server, values

from .. import observe
from . import process
from .counters import Counters

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


class WorkerMetrics:
    """Counts in this process and those it forks; make it before the pool does."""

    def __init__(self, slug_of: Callable[[str], str | None], *, forks: bool) -> None:
        self._made: str | None = None
        if forks:
            self._share()
        self.counters = Counters(slug_of)
        self.counters.connect()
        self.registry = self.counters.registry
        if forks:
            self.registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(self.registry)  # type: ignore[no-untyped-call]
        process.add_to(self.registry)
        self._server: Any = None

    def _share(self) -> None:
        """Have counters live in files, one a process."""
        if not os.environ.get(_FOLDER):
            os.environ[_FOLDER] = self._made = tempfile.mkdtemp(prefix="inngest-metrics-")
        # Flower's entry point has imported prometheus_client by now, which decided without folder
        values.ValueClass = values.get_value_class()  # type: ignore[no-untyped-call]

    def start(self, host: str, port: int) -> None:
        """Answer Prometheus; a port that is taken is told and stops nothing."""
        try:
            self._server, _ = start_http_server(port, host, self.registry)
        except OSError as error:
            observe.event("metrics.not_served", level=40, port=port, error=error.strerror or "")
            return
        observe.event("metrics.ready", host=host, port=self._server.server_port)

    @property
    def port(self) -> int | None:
        """The port that is answered; None when there is none."""
        return self._server.server_port if self._server is not None else None

    def stop(self) -> None:
        """Answer no more and count no more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
        self.counters.disconnect()
        if self._made is not None:
            os.environ.pop(_FOLDER, None)
            shutil.rmtree(self._made, ignore_errors=True)
