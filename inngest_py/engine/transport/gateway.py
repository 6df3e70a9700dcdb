"""HTTP for steps: the calls that functions ask the server to make (execution.md §4.2).

These go to any host, so they have connections of their own: they cannot crowd out those to the
SDK. With `public_only`, a connection to a private network is refused by the address that it
reached, which no name server can change afterwards.
"""

import ipaddress
import socket
import time
from datetime import timedelta
from typing import Any, Protocol
from urllib.parse import urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from ...domain.gateway import Request
from ...domain.limits import MAX_REDIRECTS, REQUEST_TIMEOUT
from ...domain.reply import Reply
from .http import REDIRECTS, PrivateAddress, once, redirected


class Fetches(Protocol):
    """How the engine makes the calls of steps."""

    def fetch(self, request: Request) -> Reply:
        """Make the call; failures are replies, not exceptions."""

    def close(self) -> None:
        """Close kept connections."""


class Fetcher:
    """Keep-alive connections to the hosts that steps call."""

    def __init__(
        self, *, connections: int = 20, hosts: int = 32, public_only: bool = False
    ) -> None:
        self._pools = urllib3.PoolManager(num_pools=hosts, maxsize=connections)
        if public_only:
            self._pools.pool_classes_by_scheme = {"http": _PublicPool, "https": _PublicTlsPool}

    def fetch(self, request: Request, timeout: timedelta = REQUEST_TIMEOUT) -> Reply:
        """Make the call within the time; failures are replies, not exceptions.

        Redirects keep method, body, headers and query, as calls to SDKs do (execution.md §3.1);
        another host is sent no keys and not the query.
        """
        deadline = time.monotonic() + timeout.total_seconds()
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
                    headers, query = request.elsewhere(), ""
                    url = redirected(here, target, query)
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


def is_public(address: str) -> bool:
    """Say whether an IP address can be reached from everywhere, an embedded IPv4 one too."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if inner is not None:
            found = inner
        elif found in _NAT64:
            found = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
    return found.is_global and not found.is_multicast


_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def _checked(sock: socket.socket) -> socket.socket:
    if not is_public(sock.getpeername()[0]):
        sock.close()
        raise PrivateAddress
    return sock


class _Public(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _checked(super()._new_conn())


class _PublicTls(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _checked(super()._new_conn())


class _PublicPool(HTTPConnectionPool):
    ConnectionCls: Any = _Public


class _PublicTlsPool(HTTPSConnectionPool):
    ConnectionCls: Any = _PublicTls
