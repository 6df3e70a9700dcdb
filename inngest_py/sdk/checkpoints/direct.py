"""Kept connections to a server that is called directly, by plain HTTP.

One request takes a fifth of the CPU of one by httpx, and a checkpoint is made for each step.
"""

import functools
import http.client
import os
import urllib.request
from collections import deque
from urllib.parse import SplitResult, urlsplit


class Connections:
    """The idle connections to one server, the last used first; threads may share them."""

    def __init__(self, host: str, port: int, timeout: float) -> None:
        """Connect nowhere yet; `timeout` is in seconds, for each wait."""
        self._host, self._port, self._timeout = host, port, timeout
        self._idle: deque[http.client.HTTPConnection] = deque()

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        """Send a request; return the answer's status and body. Raises OSError or HTTPException.

        One that finds its kept connection closed is sent again by the next one, so it must be one
        that may be repeated.
        """
        while True:
            try:
                connection, is_kept = self._idle.pop(), True
            except IndexError:
                connection, is_kept = self._new(), False
            try:
                connection.request("POST", path, body, headers)
                answer = connection.getresponse()
                found = answer.status, answer.read()
            except (ConnectionError, http.client.BadStatusLine):
                connection.close()
                if not is_kept:
                    raise
            except BaseException:
                connection.close()
                raise
            else:
                self._idle.append(connection)
                return found

    def _new(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)


def connections(url: str, timeout: float) -> Connections | None:
    """Return the connections to a URL's server; None where TLS or a proxy is between."""
    return _connections(url, timeout, os.getpid())


@functools.cache
def _connections(url: str, timeout: float, process: int) -> Connections | None:
    """Share connections in a process; one that was forked must not use those of its parent."""
    del process
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname is None or _has_proxy(parts):
        return None
    return Connections(parts.hostname, parts.port or 80, timeout)


def _has_proxy(parts: SplitResult) -> bool:
    proxies = urllib.request.getproxies()
    if not {"http", "all"} & proxies.keys():
        return False
    return not urllib.request.proxy_bypass(parts.netloc)
