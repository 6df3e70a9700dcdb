"""A TLS front before a PostgreSQL that has none, with a certificate that it has signed itself."""

import select
import socket
import ssl
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from .processes import LOOPBACK

# https://www.postgresql.org/docs/current/protocol-message-formats.html, SSLRequest
_ASKS_FOR_TLS = bytes((0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F))
_CHUNK = 65536


def certificate(folder: Path, name: str) -> Path:
    """Make a key and a certificate of this machine's address, in one file; return its path."""
    key, signed = folder / f"{name}.key", folder / f"{name}.crt"
    command = ["openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-days", "2"]
    command += ["-keyout", str(key), "-out", str(signed), "-subj", f"/CN={name}"]
    command += ["-addext", f"subjectAltName=IP:{LOOPBACK}"]
    subprocess.run(command, check=True, capture_output=True)
    both = folder / f"{name}.pem"
    both.write_text(key.read_text() + signed.read_text())
    return both


class TlsFront:
    """Ends the TLS of clients and carries what they say to a port of PostgreSQL."""

    def __init__(self, to_port: int, shown: Path) -> None:
        self._to_port = to_port
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]
        self._links: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.show(shown)

    def show(self, certificate: Path) -> None:
        """Show another certificate from now on, and cut who is connected."""
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        with self._lock:
            for link in self._links:
                with suppress(OSError):
                    link.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client = self._listener.accept()[0]
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client:
            if client.recv(8, socket.MSG_WAITALL) != _ASKS_FOR_TLS:
                return
            client.sendall(b"S")
            inner = socket.create_connection((LOOPBACK, self._to_port))
            with inner, self._context.wrap_socket(client, server_side=True) as outer:
                with self._lock:
                    self._links.add(inner)
                try:
                    _carry(outer, inner)
                finally:
                    with self._lock:
                        self._links.remove(inner)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def _carry(outer: ssl.SSLSocket, inner: socket.socket) -> None:
    """Carry bytes both ways until one side ends."""
    while True:
        ready = [outer] if outer.pending() else select.select([outer, inner], [], [])[0]
        for link in ready:
            data = link.recv(_CHUNK)
            if not data:
                return
            (inner if link is outer else outer).sendall(data)
