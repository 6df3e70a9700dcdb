"""A server that takes events on a real socket, and answers as a test says."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from tests.processes import LOOPBACK


class Request(NamedTuple):
    """One request with events."""

    path: str
    seed: str
    events: list[dict[str, Any]]


Answer = tuple[int, list[str], str] | None  # status, ids, error; None closes the connection
Rule = Callable[[Request], Answer]


def accept(request: Request) -> Answer:
    """Take all events."""
    return 200, [event["id"] for event in request.events], ""


class Receiver:
    """Notes requests, and what it has accepted."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.accepted: list[dict[str, Any]] = []
        self.rule: Rule = accept
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                size = int(self.headers["Content-Length"])
                seed = self.headers["x-inngest-event-id-seed"]
                request = Request(self.path, seed, json.loads(self.rfile.read(size)))
                answer = receiver.take(request)
                if answer is None:
                    self.close_connection = True
                    return
                status, ids, error = answer
                body = json.dumps({"ids": ids, "status": status, "error": error}).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self.url = f"http://{LOOPBACK}:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def take(self, request: Request) -> Answer:
        """Note a request, and answer by the rule."""
        with self._lock:
            self.requests.append(request)
            answer = self.rule(request)
            if answer is not None:
                self.accepted += request.events[: len(answer[1])]
            return answer

    def places(self, key: str | None = None) -> list[int]:
        """List the accepted events by their numbers, in order: all, or those of a key."""
        return [
            event["data"]["n"]
            for event in list(self.accepted)
            if key is None or event["data"].get("key") == key
        ]

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)
