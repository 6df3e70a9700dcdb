"""Serve a worker's counters on a port of its own, and the probes of orchestrators.

Each worker is a target of Prometheus by itself, as Prometheus expects: if a worker is gone, its
target is down and its counters end. Prefork's children count in files of a folder, and the parent
adds them up.

Written against prometheus_client 0.26: metrics are made of `values.ValueClass`, which it chooses by
the folder's variable when it is imported.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import CollectorRegistry, multiprocess, start_http_server, values

from .. import observe
from . import process
from .counters import Counters

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


class WorkerMetrics:
    """Counts in this process and in those it forks; make it before the pool forks."""

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
        """Keep counters in files, one per process."""
        if not os.environ.get(_FOLDER):
            os.environ[_FOLDER] = self._made = tempfile.mkdtemp(prefix="inngest-metrics-")
        # Flower's entry point has imported prometheus_client already, before the folder was set
        values.ValueClass = values.get_value_class()  # type: ignore[no-untyped-call]

    def start(self, host: str, port: int, unready: Callable[[], str | None]) -> None:
        """Answer Prometheus and probes; if the port is taken, log it and let the worker run.

        `unready` says why the worker is not ready; None if it is.
        """
        try:
            self._server, _ = start_http_server(port, host, self.registry)
        except OSError as error:
            observe.event("metrics.not_served", level=40, port=port, error=error.strerror or "")
            return
        self._server.set_app(_Probes(self._server.get_app(), unready))
        observe.event("metrics.ready", host=host, port=self._server.server_port)

    @property
    def port(self) -> int | None:
        """The port on which Prometheus is answered; None if there is none."""
        return self._server.server_port if self._server is not None else None

    def stop(self) -> None:
        """Stop answering and counting."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
        self.counters.disconnect()
        if self._made is not None:
            os.environ.pop(_FOLDER, None)
            shutil.rmtree(self._made, ignore_errors=True)


class _Probes:
    """Answers `/health/live` and `/health/ready` as the API does, before the app with metrics."""

    def __init__(self, metrics: WSGIApplication, unready: Callable[[], str | None]) -> None:
        self._metrics, self._unready = metrics, unready

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO")
        if path not in ("/health/live", "/health/ready"):
            return self._metrics(environ, start_response)
        why = self._unready() if path == "/health/ready" else None
        status, line = (200, "200 OK") if why is None else (503, "503 Service Unavailable")
        start_response(line, [("Content-Type", "application/json")])
        return [json.dumps({"status": status, "message": why or "OK"}).encode()]
