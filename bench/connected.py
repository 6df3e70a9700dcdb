"""The endpoint's functions as those of a connected worker, by the raw protocol of Connect."""

import asyncio
import urllib.request
from collections.abc import Callable, Iterable
from typing import Any

import orjson
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from inngest_py.domain.connect.messages_pb2 import (
    AppConfiguration,
    AuthData,
    ConnectMessage,
    GatewayExecutorRequestData,
    SDKResponse,
    SDKResponseStatus,
    StartResponse,
    WorkerConnectRequestData,
    WorkerRequestAckData,
)
from inngest_py.domain.connect.messages_pb2 import GatewayMessageType as Kind

APP = "connected"
# functions of this app, and events that start them, have this before the names of the endpoint's
PREFIX = "connect-"
_STATUS = {200: SDKResponseStatus.DONE, 206: SDKResponseStatus.NOT_COMPLETED}
_HEARTBEAT_SECONDS = 10.0
# each look at an enumeration of protobuf takes a microsecond
_REQUEST, _ACK = Kind.GATEWAY_EXECUTOR_REQUEST, Kind.WORKER_REQUEST_ACK
_REPLY = Kind.WORKER_REPLY
# called with the function, the step and the request; returns an answer of HTTP
Answer = Callable[[str, str, dict[str, Any]], bytes]


class Worker(asyncio.Protocol):
    """One connected worker; `names` are its functions.

    As the endpoint does, it answers all requests that have come together by one write.
    """

    def __init__(self, server: str, names: Iterable[str], answer: Answer, number: int = 0) -> None:
        self._server, self._answer, self._number = server, answer, number
        self._functions = orjson.dumps([_function(name) for name in names])
        self.is_ready = asyncio.Event()
        self._parts: dict[bytes, tuple[SDKResponseStatus, bytes]] = {}  # of answers of HTTP

    async def run(self) -> None:
        """Work until cancelled, or until the server closes."""
        self._started = await asyncio.to_thread(self._start)
        uri = parse_uri(self._started.gateway_endpoint)
        self._protocol = ClientProtocol(
            uri, subprotocols=[Subprotocol("v0.connect.inngest.com")], max_size=None
        )
        loop = asyncio.get_running_loop()
        self._closed = loop.create_future()
        self._transport, _ = await loop.create_connection(lambda: self, uri.host, uri.port)
        self._protocol.send_request(self._protocol.connect())
        self._flush()
        beating = asyncio.create_task(self._beat())
        try:
            await self._closed
        finally:
            beating.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._closed.cancel()

    def data_received(self, data: bytes) -> None:
        """Answer every complete request that is here."""
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Frame) and event.opcode is Opcode.BINARY:
                self._take(ConnectMessage.FromString(bytes(event.data)))
        self._flush()

    def _send(self, kind: Kind, message: Any = None) -> None:
        payload = b"" if message is None else message.SerializeToString()
        self._protocol.send_binary(ConnectMessage(kind=kind, payload=payload).SerializeToString())

    def _flush(self) -> None:
        self._transport.write(b"".join(self._protocol.data_to_send()))

    def _start(self) -> StartResponse:
        asked = urllib.request.Request(f"{self._server}/v0/connect/start", b"", method="POST")
        with urllib.request.urlopen(asked, timeout=30) as reply:
            return StartResponse.FromString(reply.read())

    def _hello(self) -> WorkerConnectRequestData:
        return WorkerConnectRequestData(
            connection_id=self._started.connection_id,
            instance_id=f"bench-{self._number}",
            auth_data=AuthData(session_token=self._started.session_token),
            apps=[AppConfiguration(app_name=APP, functions=self._functions)],
            sdk_language="bench",
            sdk_version="v0.1.0",
            framework="connect",
        )

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_HEARTBEAT_SECONDS)
            self._send(Kind.WORKER_HEARTBEAT)
            self._flush()

    def _take(self, message: ConnectMessage) -> None:
        if message.kind == _REQUEST:
            self._call(GatewayExecutorRequestData.FromString(message.payload))
        elif message.kind == Kind.GATEWAY_HELLO:
            self._send(Kind.WORKER_CONNECT, self._hello())
        elif message.kind == Kind.GATEWAY_CONNECTION_READY:
            self.is_ready.set()

    def _call(self, asked: GatewayExecutorRequestData) -> None:
        ack = WorkerRequestAckData(request_id=asked.request_id, run_id=asked.run_id)
        self._send(_ACK, ack)
        request = orjson.loads(asked.request_payload)
        name = asked.function_slug.rpartition("-")[2]
        status, body = self._split(self._answer(name, asked.step_id, request))
        response = SDKResponse(
            request_id=asked.request_id,
            status=status,
            body=body,
            sdk_version="v0.1.0",
            request_version=2,
        )
        self._send(_REPLY, response)

    def _split(self, answer: bytes) -> tuple[SDKResponseStatus, bytes]:
        found = self._parts.get(answer)
        if found is None:
            head, _, body = answer.partition(b"\r\n\r\n")
            found = self._parts[answer] = _STATUS[int(head.split(b" ", 2)[1])], body
        return found


def _function(name: str) -> dict[str, Any]:
    runtime = {"type": "ws", "url": f"ws://connect?fnId={APP}-{name}&step=step"}
    step = {"id": "step", "name": "step", "retries": {"attempts": 4}, "runtime": runtime}
    return {
        "id": f"{APP}-{name}",
        "name": name,
        "triggers": [{"event": f"bench/{name}"}],
        "steps": {"step": step},
    }
