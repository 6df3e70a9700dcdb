"""The API in a process of another HTTP server, such as gunicorn or uWSGI.

Such a server imports the app, and may fork after that. So nothing is made when it is imported, and
little is loaded: the app begins in the process that serves, after the server's own set-up (gevent's
patch above all), at `start()` or at the first request.
"""

import atexit
import json
import os
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING
from wsgiref.types import StartResponse, WSGIEnvironment

from .. import observe
from ..config import Settings
from ..loading import without_collections

if TYPE_CHECKING:
    from .hosted_process import HostedProcess

# what a request waits for a process that begins, as it would for a database that is away
_BEGIN_SECONDS = 10.0
_STARTING = "the server is starting: it waits for its database"


class Hosted:
    """A WSGI app that makes what it needs in each process that serves it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._pid = -1
        self._begun = threading.Event()
        self._process: HostedProcess | None = None
        self._why = _STARTING

    def start(self) -> None:
        """Begin in this process, unless it has begun; returns at once. Call it after a fork."""
        with self._lock:  # nothing waits in here: gevent may not have replaced this lock
            if self._pid == os.getpid():
                return
            self._pid = os.getpid()
            self._process, self._why, self._begun = None, _STARTING, threading.Event()
        atexit.register(self.stop)
        threading.Thread(target=self._begin, name="begin", daemon=True).start()

    def _begin(self) -> None:
        try:
            with without_collections():
                from .hosted_process import HostedProcess, told
            made = HostedProcess(self._settings)
            try:
                made.begin()
            except (Exception, SystemExit) as error:
                self._why = told(error)
            else:
                self._process = made
        except Exception as error:
            self._why = "the server could not begin: its log has the traceback"
            observe.event("server.not_begun", level=50, error=str(error), exc_info=error)
        finally:
            self._begun.set()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request; 503 as long as this process has not begun."""
        if self._pid != os.getpid():
            self.start()
        process = self._process
        if process is None:
            if environ.get("PATH_INFO") != "/health/live":
                self._begun.wait(_BEGIN_SECONDS)
            process = self._process
        if process is None:
            return self._not_begun(environ, start_response)
        return process(environ, start_response)

    def _not_begun(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        headers = [("Content-Type", "application/json"), ("Retry-After", "1")]
        if environ.get("PATH_INFO") == "/health/live":
            start_response("200 OK", headers[:1])
            return [json.dumps({"status": 200, "message": "OK"}).encode()]
        start_response("503 Service Unavailable", headers)
        return [json.dumps({"status": 503, "message": self._why, "error": self._why}).encode()]

    def drain(self) -> None:
        """End what would delay the stop of this process: streams, WebSockets, calls of workers."""
        if self._process is not None and self._pid == os.getpid():
            self._process.drain()

    def stop(self) -> None:
        """Close what this process has."""
        process, mine = self._process, self._pid == os.getpid()
        if process is not None and mine:
            self._process, self._why = None, "the server is stopping"
            process.drain()
            process.close()
