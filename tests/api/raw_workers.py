"""Workers that speak the protocol of Connect by hand."""

import pytest
import requests
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from inngest_py.domain.connect.messages_pb2 import (
    AppConfiguration,
    AuthData,
    ConnectMessage,
    StartResponse,
    WorkerConnectRequestData,
)
from inngest_py.domain.connect.messages_pb2 import GatewayMessageType as Kind
from tests.processes import Server

PROTOCOL = Subprotocol("v0.connect.inngest.com")


def ask_to_start(server: Server, body: bytes = b"") -> StartResponse:
    """Ask where to connect."""
    reply = requests.post(f"{server.url}/v0/connect/start", data=body, timeout=10)
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == "application/octet-stream"
    return StartResponse.FromString(reply.content)


def greeted(server: Server) -> tuple[StartResponse, ClientConnection]:
    """Connect, and wait for the greeting."""
    started = ask_to_start(server)
    # the library wants a block, which would end with this function
    made = connect(started.gateway_endpoint, subprotocols=[PROTOCOL], max_size=None).__enter__()
    assert made.recv(5) in (b"", b"\x12\x00")
    return started, made


def frame(kind: Kind, message: object = None) -> bytes:
    """Write one message."""
    payload = b"" if message is None else message.SerializeToString()  # type: ignore[attr-defined]
    return ConnectMessage(kind=kind, payload=payload).SerializeToString()


def hello(started: StartResponse, **changed: object) -> bytes:
    """Write WORKER_CONNECT of a worker without functions, with other fields as given."""
    given: dict[str, object] = {
        "connection_id": started.connection_id,
        "instance_id": "raw",
        "auth_data": AuthData(session_token=started.session_token),
        "apps": [AppConfiguration(app_name="raw", functions=b"[]")],
        "sdk_language": "py",
        "sdk_version": "v1",
    }
    return frame(Kind.WORKER_CONNECT, WorkerConnectRequestData(**(given | changed)))  # type: ignore[arg-type]


def ready(server: Server, **changed: object) -> ClientConnection:
    """Connect, and wait until ready for requests."""
    started, made = greeted(server)
    made.send(hello(started, **changed))
    assert next_message(made).kind == Kind.GATEWAY_CONNECTION_READY
    return made


def next_message(made: ClientConnection) -> ConnectMessage:
    """Wait for the next message."""
    data = made.recv(10)
    assert isinstance(data, bytes)
    return ConnectMessage.FromString(data)


def closed(made: ClientConnection) -> tuple[int, str]:
    """Wait for the close, and return its code and reason."""
    with pytest.raises(ConnectionClosed) as found:
        while True:
            made.recv(10)
    close = found.value.rcvd
    assert close is not None
    return close.code, close.reason
