"""The endpoint's functions as those of a connected worker, by the raw protocol of Connect."""

import asyncio
import urllib.request
from collections.abc import Callable, Iterable
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

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
# called with the function, the step and the request; returns an answer of HTTP
Answer = Callable[[str, str, dict[str, Any]], bytes]


class Worker:
    """One connected worker; `names` are its functions."""

    def __init__(self, server: str, names: Iterable[str], answer: Answer, number: int = 0) -> None:
        self._server, self._answer, self._number = server, answer, number
        self._functions = orjson.dumps([_function(name) for name in names])
        self.is_ready = asyncio.Event()
        self._parts: dict[bytes, tuple[SDKResponseStatus, bytes]] = {}  # of answers of HTTP

    async def run(self) -> None:
        """Work until cancelled, or until the server closes."""
        started = await asyncio.to_thread(self._start)
        async with connect(
            started.gateway_endpoint,
            subprotocols=[Subprotocol("v0.connect.inngest.com")],
            compression=None,
            max_size=None,
            ping_interval=None,
        ) as socket:
            await socket.recv()
            await socket.send(_frame(Kind.WORKER_CONNECT, self._hello(started)))
            beating = asyncio.create_task(self._beat(socket))
            try:
                async for data in socket:
                    assert isinstance(data, bytes)
                    await self._take(socket, ConnectMessage.FromString(data))
            finally:
                beating.cancel()

    def _start(self) -> StartResponse:
        asked = urllib.request.Request(f"{self._server}/v0/connect/start", b"", method="POST")
        with urllib.request.urlopen(asked, timeout=30) as reply:
            return StartResponse.FromString(reply.read())

    def _hello(self, started: StartResponse) -> WorkerConnectRequestData:
        return WorkerConnectRequestData(
            connection_id=started.connection_id,
            instance_id=f"bench-{self._number}",
            auth_data=AuthData(session_token=started.session_token),
            apps=[AppConfiguration(app_name=APP, functions=self._functions)],
            sdk_language="bench",
            sdk_version="v0.1.0",
            framework="connect",
        )

    async def _beat(self, socket: ClientConnection) -> None:
        while True:
            await asyncio.sleep(_HEARTBEAT_SECONDS)
            await socket.send(_frame(Kind.WORKER_HEARTBEAT))

    async def _take(self, socket: ClientConnection, message: ConnectMessage) -> None:
        if message.kind == Kind.GATEWAY_CONNECTION_READY:
            self.is_ready.set()
        if message.kind != Kind.GATEWAY_EXECUTOR_REQUEST:
            return
        asked = GatewayExecutorRequestData.FromString(message.payload)
        ack = WorkerRequestAckData(request_id=asked.request_id, run_id=asked.run_id)
        await socket.send(_frame(Kind.WORKER_REQUEST_ACK, ack))
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
        await socket.send(_frame(Kind.WORKER_REPLY, response))

    def _split(self, answer: bytes) -> tuple[SDKResponseStatus, bytes]:
        found = self._parts.get(answer)
        if found is None:
            head, _, body = answer.partition(b"\r\n\r\n")
            found = self._parts[answer] = _STATUS[int(head.split(b" ", 2)[1])], body
        return found


def _frame(kind: Kind, message: Any = None) -> bytes:
    payload = b"" if message is None else message.SerializeToString()
    return ConnectMessage(kind=kind, payload=payload).SerializeToString()


def _function(name: str) -> dict[str, Any]:
    runtime = {"type": "ws", "url": f"ws://connect?fnId={APP}-{name}&step=step"}
    step = {"id": "step", "name": "step", "retries": {"attempts": 4}, "runtime": runtime}
    return {
        "id": f"{APP}-{name}",
        "name": name,
        "triggers": [{"event": f"bench/{name}"}],
        "steps": {"step": step},
    }
