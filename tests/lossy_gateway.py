"""A proxy of WebSockets between workers and their gateway that loses single messages."""

import threading
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve

from inngest_py.domain.connect.messages_pb2 import ConnectMessage
from inngest_py.domain.connect.messages_pb2 import GatewayMessageType as Kind

from .api.raw_workers import PROTOCOL
from .processes import LOOPBACK


class LossyGateway:
    """Workers connect to `url`; `lose` says what they and their gateway do not get."""

    def __init__(self) -> None:
        self.to_port = 0  # of the gateway
        self.seen: Counter[Kind] = Counter()
        self._to_lose: Counter[Kind] = Counter()
        self._lock = threading.Lock()
        self._server = serve(
            self._join, LOOPBACK, 0, subprotocols=[PROTOCOL], max_size=None, compression=None
        )
        self.url = f"ws://{LOOPBACK}:{self._server.socket.getsockname()[1]}/v0/connect"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def lose(self, kind: Kind, count: int) -> None:
        """Lose the next so many messages of a kind."""
        self._to_lose[kind] = count

    def has_lost(self, kind: Kind) -> bool:
        """Whether all messages of a kind are lost that were to be."""
        return not self._to_lose[kind]

    def _join(self, worker: ServerConnection) -> None:
        url = f"ws://{LOOPBACK}:{self.to_port}/v0/connect"
        with connect(url, subprotocols=[PROTOCOL], max_size=None, compression=None) as gateway:
            back = threading.Thread(target=self._carry, args=(gateway, worker), daemon=True)
            back.start()
            self._carry(worker, gateway)
            back.join(5)

    def _carry(self, messages: Iterable[str | bytes], to: Any) -> None:
        with suppress(ConnectionClosed):
            for data in messages:
                if not self._is_lost(data):
                    to.send(data)
        to.close()

    def _is_lost(self, data: str | bytes) -> bool:
        assert isinstance(data, bytes)
        kind = ConnectMessage.FromString(data).kind
        with self._lock:
            self.seen[kind] += 1
            is_lost = self._to_lose[kind] > 0
            self._to_lose[kind] -= is_lost
        return is_lost

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join(5)
