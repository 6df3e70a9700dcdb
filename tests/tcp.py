"""TCP proxies on loopback: a wire that can be cut, and a balancer."""

import selectors
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from .processes import LOOPBACK

_CHUNK = 65536
_UNSENT_BYTES = 4 * 2**20


class Wire:
    """Carries bytes to a port, until it is told to swallow them and to say nothing.

    With `cuts`, the connection that next carries these bytes is closed: once they have been
    answered where `answered` is set, which the client does not hear, else without passing them on.
    """

    def __init__(self, to_port: int, host: str = LOOPBACK) -> None:
        self.to_port = to_port  # another one is for connections that come later
        self._listener = socket.create_server((host, 0))
        self.port: int = self._listener.getsockname()[1]
        self.silent = False
        self.cuts: bytes | None = None
        self.answered = True
        self._cut: socket.socket | None = None  # the server's end of what is being cut
        self._closed = False
        self._peers: dict[socket.socket, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._carry, daemon=True)

    def url(self, url: str) -> str:
        """Make a database's URL one through the wire."""
        return url.replace(f":{self.to_port}/", f":{self.port}/")

    def _carry(self) -> None:
        while not self._closed:
            for key, _ in self._selector.select(0.05):
                link = key.fileobj
                assert isinstance(link, socket.socket)
                if link is self._listener:
                    self._join(link.accept()[0])
                elif link in self._peers:
                    self._pass(link, self._peers[link])

    def _join(self, client: socket.socket) -> None:
        server = socket.create_connection((LOOPBACK, self.to_port))
        for link in (client, server):
            # one end that does not read must not keep us from all others
            link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNSENT_BYTES)
        self._peers |= {client: server, server: client}
        for link in (client, server):
            self._selector.register(link, selectors.EVENT_READ)

    def _pass(self, link: socket.socket, peer: socket.socket) -> None:
        data = b""
        with suppress(OSError):
            data = link.recv(_CHUNK)
        if self.silent and data:
            return
        if data and self._carries(link, peer, data):
            with suppress(OSError):
                peer.sendall(data)
            return
        for each in (link, peer):
            self._selector.unregister(each)
            self._peers.pop(each)
            each.close()

    def _carries(self, link: socket.socket, peer: socket.socket, data: bytes) -> bool:
        """Say whether to pass data on, and not to cut its connection."""
        if self.cuts is not None and self.cuts in data:
            self.cuts = None
            self._cut = peer
            return self.answered
        return link is not self._cut

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed = True
        self._thread.join(5)
        self._listener.close()
        for link in list(self._peers):
            link.close()
        self._selector.close()


class Balancer(Wire):
    """Carries each connection to the next of some ports, or to the first after it that accepts."""

    def __init__(self, ports: Sequence[int], host: str = LOOPBACK) -> None:
        super().__init__(ports[0], host)
        self.ports = list(ports)
        self._next = 0

    def _join(self, client: socket.socket) -> None:
        self._next += 1
        for number in range(len(self.ports)):
            self.to_port = self.ports[(self._next + number) % len(self.ports)]
            with suppress(OSError):
                super()._join(client)
                return
        client.close()
