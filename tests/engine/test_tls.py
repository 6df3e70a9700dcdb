"""Calls over TLS: connections are kept and interim answers skipped, as without TLS."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from geventhttpclient.connectionpool import SSLConnectionPool

from inngest_py.engine.transport.greenlets import GreenletTransport
from inngest_py.engine.transport.http import Transport
from tests.misbehaving import STRAY, head, whole
from tests.processes import LOOPBACK


class _Server:
    """Answers every request that ends with `{}`, and counts connections."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._listener = socket.create_server((LOOPBACK, 0))
        self.url = f"https://localhost:{self._listener.getsockname()[1]}/"
        self.connections, self.more = 0, b""
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        with self._context.wrap_socket(plain, server_side=True) as sock:
            seen = b""
            while found := sock.recv(65536):
                seen += found
                if seen.endswith(b"{}"):
                    sock.sendall(head(103) + whole(b"%d" % len(seen)) + self.more)
                    seen = b""

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Server]:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    kind = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", "req", *kind, *files, *names], check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setitem(SSLConnectionPool.default_options, "ca_certs", str(certificate))
    made = _Server(certificate, key)
    yield made
    made.close()


@pytest.mark.parametrize("making", [Transport, GreenletTransport])
def test_a_connection_is_kept_until_more_comes_than_the_answer(
    making: type[Transport], server: _Server
) -> None:
    transport = making(kept_seconds=60)
    for _ in range(3):
        assert transport.send("POST", server.url, {}, b"{}").status == 200
    large = transport.send("POST", server.url, {}, b"x" * 1_000_000 + b"{}")
    assert int(large.body) > 1_000_000
    assert server.connections == 1
    server.more = whole(STRAY)
    for count in (1, 2, 3):  # each of these is closed after its answer
        assert transport.send("POST", server.url, {}, b"{}").body.isdigit()
        assert server.connections == count
    transport.close()
