"""Gateway calls: HTTP calls that steps ask the server to make (execution.md §4.2).

They go to any host, so they have connections of their own and cannot use up those to SDKs.
"""

import time
from datetime import timedelta
from typing import Protocol
from urllib.parse import urlsplit

import urllib3

from ...domain.limits import MAX_REDIRECTS, REQUEST_TIMEOUT
from ...domain.reply.read import Reply
from ...domain.steps.gateway import GatewayRequest
from .adapter import pool_classes
from .http import REDIRECTS, once, redirected
from .idle_connections import KEPT_SECONDS
from .sockets import Refusal, allow_all


class Fetches(Protocol):
    """How the engine makes gateway calls."""

    def fetch(self, request: GatewayRequest) -> Reply:
        """Make the call; failures are replies, not exceptions."""

    def close(self) -> None:
        """Close kept connections."""


class Fetcher:
    """Keep-alive connections to the hosts that steps call."""

    def __init__(
        self,
        *,
        connections: int = 20,
        hosts: int = 32,
        refusal: Refusal = allow_all,
    ) -> None:
        self._pools = urllib3.PoolManager(num_pools=hosts, maxsize=connections)
        self._pools.pool_classes_by_scheme = pool_classes(KEPT_SECONDS, refusal)

    def fetch(self, request: GatewayRequest, timeout: timedelta = REQUEST_TIMEOUT) -> Reply:
        """Make the call within the time; failures are replies, not exceptions.

        Redirects keep method, body, headers and query, as in calls to SDKs (execution.md §3.1).
        Another host gets no keys and not the query.
        """
        deadline = time.monotonic() + timeout.total_seconds()
        try:
            return self._follow(request, deadline)
        except ValueError:
            return Reply(unreachable="the URL or a header cannot be sent")

    def _follow(self, request: GatewayRequest, deadline: float) -> Reply:
        url, headers, query = request.url, request.headers, urlsplit(request.url).query
        body = None if request.body is None else request.body.encode()
        for _ in range(MAX_REDIRECTS + 1):
            reply = once(self._pools, request.method, url, headers, body, deadline)
            target = reply.header("location")
            if reply.status not in REDIRECTS or not target:
                return reply
            try:
                here, url = url, redirected(url, target, query)
                if _origin(here) != _origin(url):
                    headers, query = request.headers_without_keys(), ""
                    url = request.url_without_keys(redirected(here, target, ""))
            except ValueError:
                return Reply(unreachable="redirected to something that is not a URL")
            if urlsplit(url).scheme not in ("http", "https"):
                return Reply(unreachable="redirected to something that is not http")
        return Reply(unreachable=f"more than {MAX_REDIRECTS} redirects")

    def close(self) -> None:
        """Close the kept connections."""
        self._pools.clear()


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port
