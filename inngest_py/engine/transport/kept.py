"""Kept connections: how long one may lie idle before it is replaced.

Servers close idle connections, Node and uvicorn after five seconds. A request that is sent in
that very moment is lost, and with it an attempt; a busy app closes late, so looking at the socket
first does not help (seen with Node under load).
"""

import time
from typing import Any
from weakref import WeakKeyDictionary

import urllib3
from geventhttpclient.connectionpool import ConnectionPool

KEPT_SECONDS = 1.0


class _Idle:
    """When each connection of a pool was last given back."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: WeakKeyDictionary[Any, float] = WeakKeyDictionary()

    def begin(self, connection: Any) -> None:
        self._since[connection] = time.monotonic()

    def is_over(self, connection: Any) -> bool:
        since = self._since.pop(connection, None)
        return since is not None and time.monotonic() - since >= self._seconds


def keep_briefly(pool: ConnectionPool, seconds: float) -> None:
    """Have a pool of sockets replace those that were idle for longer."""
    idle, is_alive, give_back = _Idle(seconds), pool._is_socket_alive, pool.return_socket

    def return_socket(sock: Any) -> None:
        idle.begin(sock)
        give_back(sock)

    def is_usable(sock: Any) -> bool:
        return not idle.is_over(sock) and is_alive(sock)

    pool.__dict__.update(return_socket=return_socket, _is_socket_alive=is_usable)


def pool_classes(seconds: float) -> dict[str, Any]:
    """Make the classes of urllib3's pools, by scheme, that replace what was idle for longer."""

    class Kept:
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._idle = _Idle(seconds)

        def _put_conn(self, conn: Any) -> None:
            if conn is not None:
                self._idle.begin(conn)
            super()._put_conn(conn)  # type: ignore[misc]

        def _get_conn(self, timeout: float | None = None) -> Any:
            conn = super()._get_conn(timeout)  # type: ignore[misc]
            if self._idle.is_over(conn):
                conn.close()  # it is opened again by the request
            return conn

    plain = type("KeptPool", (Kept, urllib3.HTTPConnectionPool), {})
    tls = type("KeptTlsPool", (Kept, urllib3.HTTPSConnectionPool), {})
    return {"http": plain, "https": tls}
