"""An SDK endpoint inside the test's own process, whose calls a test can hold and count."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import requests

from tests.factories import op
from tests.processes import LOOPBACK

STEPS = 5


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a server that is killed cuts its connections."""


class Endpoint:
    """Serves one function of five steps.

    A call waits while `hold` is set to its step's number, for a minute at the most."""

    def __init__(self) -> None:
        self.hold: int | None = None
        self.go = threading.Event()
        self.calls: list[tuple[str, int]] = []  # run and number of the step
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                status, answer = endpoint.answer(body)
                self.send_response(status)
                self.send_header("x-inngest-sdk", "raw:v1")
                self.send_header("x-inngest-req-version", "2")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._http = _Http((LOOPBACK, 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._http.server_port)

    def answer(self, body: dict[str, Any]) -> tuple[int, bytes]:
        """Answer with the next step, or with the result."""
        number = len(body["steps"])
        self.calls.append((body["ctx"]["run_id"], number))
        if number == self.hold:
            self.go.wait(60)
        if number == STEPS:
            return 200, b'{"ok":true}'
        return 206, json.dumps([op("StepRun", f"s{number}", data=number)]).encode()

    def register(self, server: str) -> None:
        """Register the function with a server by its REST API."""
        body = {
            "app": "raw",
            "name": "five",
            "url": f"http://{LOOPBACK}:{self.port}/x",
            "triggers": [{"event": "five/go"}],
        }
        requests.post(f"{server}/api/v1/functions", json=body, timeout=10).raise_for_status()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.go.set()
        self._http.shutdown()
        self._http.server_close()


def send(server: str, count: int = 1) -> list[str]:
    """Send events that start the function; return their ids."""
    events = [{"name": "five/go"}] * count
    sent = requests.post(f"{server}/e/key", json=events, timeout=30)
    sent.raise_for_status()
    found: list[str] = sent.json()["ids"]
    return found


def statuses(server: str) -> dict[str, int]:
    """Count the newest hundred runs by status."""
    runs = requests.get(f"{server}/api/v1/runs", params={"limit": 100}, timeout=10).json()["data"]
    counted: dict[str, int] = {}
    for run in runs:
        counted[run["status"]] = counted.get(run["status"], 0) + 1
    return counted
