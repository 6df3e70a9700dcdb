"""One worker's connection, as a state machine: frames in, frames and actions out (connect.md).

It does no I/O and reads no clock. Whoever holds the socket passes in what arrived and the time,
and does what the actions say, in their order.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum

from google.protobuf.message import DecodeError, Message

from ..access import tokens
from ..errors import Invalid
from . import calls, codes, worker_hello
from .calls import Request
from .codes import Ending
from .messages_pb2 import (
    ConnectMessage,
    GatewayConnectionReadyData,
    SDKResponse,
    SystemError,
    WorkerReplyAckData,
    WorkerRequestAckData,
    WorkerRequestExtendLeaseAckData,
    WorkerRequestExtendLeaseData,
    WorkerStatusData,
)
from .messages_pb2 import GatewayMessageType as Kind
from .worker_hello import Refused, UnsyncedApp, Worker

HELLO_WITHIN = timedelta(seconds=5)
HEARTBEAT = timedelta(seconds=10)
MOST_MISSED = 5
MOST_MESSAGE_BYTES = 8 * 1024 * 1024
_READY = GatewayConnectionReadyData(
    heartbeat_interval="10s", extend_lease_interval="30s", status_interval="0s"
)


class Status(IntEnum):
    """Where a connection is, as the inspection routes number it (§2.2)."""

    CONNECTED = 0
    READY = 1
    DRAINING = 2
    DISCONNECTING = 3
    DISCONNECTED = 4


@dataclass(frozen=True, slots=True)
class Send:
    """Send a binary message."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection."""

    ending: Ending


@dataclass(frozen=True, slots=True)
class Sync:
    """Sync the worker's apps, then call synced() or sync_failed()."""

    worker: Worker


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """Store the connection's status."""

    status: Status


@dataclass(frozen=True, slots=True)
class Extend:
    """Find out whether the worker should go on with a request, then call extended()."""

    asked: WorkerRequestExtendLeaseData


@dataclass(frozen=True, slots=True)
class Answer:
    """Take a worker's answer, store it, then call acknowledge()."""

    response: SDKResponse


@dataclass(frozen=True, slots=True)
class Lapsed:
    """The worker has said nothing of a request for too long; `acked` if it had begun it."""

    request_id: str
    acked: bool


Action = Send | Close | Sync | StatusChanged | Extend | Answer | Lapsed


@dataclass(slots=True)
class _InFlight:
    until: datetime
    acked: bool = False


def frame(kind: Kind, message: Message | None = None) -> Send:
    """Write one message of the gateway."""
    payload = b"" if message is None else message.SerializeToString()
    return Send(ConnectMessage(kind=kind, payload=payload).SerializeToString())


@dataclass(slots=True)
class GatewayConnection:
    """The state of one connection.

    `secrets` check the worker's session token. Once `is_over`, everything that arrives is dropped.
    """

    secrets: tuple[bytes, ...] = field(repr=False)
    opened_at: datetime
    status: Status = Status.CONNECTED
    worker: Worker | None = None
    is_synced: bool = False
    is_over: bool = False
    last_heartbeat: datetime | None = None
    in_flight: dict[str, _InFlight] = field(default_factory=dict)

    def open(self) -> list[Action]:
        """Greet the worker."""
        return [frame(Kind.GATEWAY_HELLO)]

    def receive(self, data: bytes, now: datetime) -> list[Action]:
        """Take a binary message of the worker."""
        if self.is_over:
            return []
        try:
            message = ConnectMessage.FromString(data)
        except DecodeError:
            return self._close(
                codes.INVALID_MESSAGE if self.worker else codes.HELLO_INVALID_PAYLOAD
            )
        if self.worker is None:
            return self._hello(message, now)
        handler = _HANDLERS.get(message.kind)
        if handler is None:  # of a newer SDK, or the gateway's own
            return []
        try:
            return handler(self, message.payload, now)
        except (DecodeError, Invalid):
            return self._close(codes.INVALID_MESSAGE)

    def receive_text(self) -> list[Action]:
        """Take a text message: there is none in this protocol."""
        return self._close(codes.INVALID_MESSAGE if self.worker else codes.HELLO_INVALID_MESSAGE)

    def _hello(self, message: ConnectMessage, now: datetime) -> list[Action]:
        if message.kind != Kind.WORKER_CONNECT:
            return self._close(codes.HELLO_INVALID_MESSAGE)
        try:
            worker = worker_hello.read(message.payload)
            self._authenticate(worker, now)
        except Refused as error:
            return self._close(error.ending)
        except UnsyncedApp as error:
            return self.sync_failed(error.code, error.message)
        self.worker, self.last_heartbeat = worker, now
        return [Sync(worker)]

    def _authenticate(self, worker: Worker, now: datetime) -> None:
        try:
            allowed = tokens.session(worker.session_token, self.secrets, now.timestamp())
        except Invalid as error:
            raise Refused(codes.UNAUTHENTICATED, error.message) from None
        if allowed != worker.connection_id:
            raise Refused(codes.UNAUTHENTICATED, "the token is of another connection")

    def synced(self) -> list[Action]:
        """Go on after the worker's apps have been synced."""
        if self.is_over:
            return []
        self.is_synced = True
        ready = frame(Kind.GATEWAY_CONNECTION_READY, _READY)
        if self.worker is not None and self.worker.manual_ready:
            return [StatusChanged(self.status), ready]
        # the status last: the worker must not get a request before it knows that it is ready
        return [ready, *self._become(Status.READY)]

    def sync_failed(self, code: str, message: str) -> list[Action]:
        """Say why an app could not be synced, and close."""
        failed = frame(Kind.SYNC_FAILED, SystemError(code=code, message=message))
        return [failed, *self._close(Ending(codes.POLICY, code))]

    def failed(self) -> list[Action]:
        """Close after an error of our own."""
        return self._close(codes.INTERNAL_ERROR)

    def too_large(self) -> list[Action]:
        """Close after a message that is over the limit."""
        return self._close(codes.MESSAGE_TOO_LARGE)

    def send(self, request: Request, now: datetime) -> list[Action]:
        """Send a request; it counts as in flight from now on."""
        self.in_flight[request.id] = _InFlight(now + calls.ACK_WITHIN)
        return [frame(Kind.GATEWAY_EXECUTOR_REQUEST, request.message())]

    def adopt(self, request_id: str, now: datetime) -> None:
        """Count a request that the worker got over an earlier connection."""
        self.in_flight[request_id] = _InFlight(now + calls.LEASE, acked=True)

    def forget(self, request_id: str) -> None:
        """Stop counting a request."""
        self.in_flight.pop(request_id, None)

    def extended(
        self, asked: WorkerRequestExtendLeaseData, lease_id: str | None, now: datetime
    ) -> list[Action]:
        """Answer a worker that goes on with a request; without a lease it has to drop it."""
        if lease_id is None:
            self.forget(asked.request_id)
        else:
            self.adopt(asked.request_id, now)
        return self._unless_over(
            frame(
                Kind.WORKER_REQUEST_EXTEND_LEASE_ACK,
                WorkerRequestExtendLeaseAckData(
                    request_id=asked.request_id,
                    account_id=asked.account_id,
                    env_id=asked.env_id,
                    app_id=asked.app_id,
                    function_slug=asked.function_slug,
                    new_lease_id=lease_id,
                ),
            )
        )

    def acknowledge(self, request_id: str) -> list[Action]:
        """Tell the worker that its answer is stored, or that nobody needs it."""
        self.forget(request_id)
        ack = WorkerReplyAckData(request_id=request_id)
        return self._unless_over(frame(Kind.WORKER_REPLY_ACK, ack))

    def drain(self) -> list[Action]:
        """Ask the worker to go to another gateway; what it has in flight may end here."""
        if self.worker is None or not self.is_synced:
            return self._close(codes.GATEWAY_CLOSING)
        if self.status >= Status.DISCONNECTING or self.is_over:
            return []
        return [frame(Kind.GATEWAY_CLOSING), *self._become(Status.DISCONNECTING)]

    def stop(self) -> list[Action]:
        """Close at the end of a drain."""
        return self._close(codes.GATEWAY_CLOSING)

    def ended(self) -> list[Action]:
        """Note that the socket is closed."""
        self.is_over = True
        return self._become(Status.DISCONNECTED) if self.worker is not None else []

    def tick(self, now: datetime) -> list[Action]:
        """Look at the clock: see due_at()."""
        if self.is_over:
            return []
        if self.worker is None:
            late = now >= self.opened_at + HELLO_WITHIN
            return self._close(codes.HELLO_TIMEOUT) if late else []
        if self.last_heartbeat is not None and now >= self.last_heartbeat + MOST_MISSED * HEARTBEAT:
            return self._close(codes.HEARTBEATS_MISSED)
        over = [(name, one) for name, one in self.in_flight.items() if now >= one.until]
        for name, _ in over:
            self.forget(name)
        return [Lapsed(name, one.acked) for name, one in over]

    def due_at(self) -> datetime:
        """Say when tick() is due next, if nothing arrives before."""
        if self.worker is None or self.last_heartbeat is None:
            return self.opened_at + HELLO_WITHIN
        ends = [one.until for one in self.in_flight.values()]
        return min([self.last_heartbeat + MOST_MISSED * HEARTBEAT, *ends])

    def _heartbeat(self, _payload: bytes, now: datetime) -> list[Action]:
        self.last_heartbeat = now
        return [frame(Kind.GATEWAY_HEARTBEAT)]

    def _is_ready(self, _payload: bytes, _now: datetime) -> list[Action]:
        if not self.is_synced or self.status is not Status.CONNECTED:
            return []
        return self._become(Status.READY)

    def _pause(self, _payload: bytes, _now: datetime) -> list[Action]:
        return [] if self.status >= Status.DRAINING else self._become(Status.DRAINING)

    def _note_status(self, payload: bytes, _now: datetime) -> list[Action]:
        WorkerStatusData.FromString(payload)  # informational (§6)
        return []

    def _request_ack(self, payload: bytes, now: datetime) -> list[Action]:
        known = self.in_flight.get(WorkerRequestAckData.FromString(payload).request_id)
        if known is not None:
            known.acked, known.until = True, now + calls.LEASE
        return []

    def _extend(self, payload: bytes, _now: datetime) -> list[Action]:
        return [Extend(WorkerRequestExtendLeaseData.FromString(payload))]

    def _reply(self, payload: bytes, _now: datetime) -> list[Action]:
        response = calls.read_response(payload)
        self.forget(response.request_id)
        return [Answer(response)]

    def _become(self, status: Status) -> list[Action]:
        self.status = status
        return [StatusChanged(status)]

    def _close(self, ending: Ending) -> list[Action]:
        if self.is_over:
            return []
        self.is_over = True
        return [Close(ending)]

    def _unless_over(self, action: Action) -> list[Action]:
        return [] if self.is_over else [action]


_Handler = Callable[[GatewayConnection, bytes, datetime], list[Action]]
# what a worker may send after its hello
_HANDLERS: dict[int, _Handler] = {
    Kind.WORKER_HEARTBEAT: GatewayConnection._heartbeat,
    Kind.WORKER_READY: GatewayConnection._is_ready,
    Kind.WORKER_PAUSE: GatewayConnection._pause,
    Kind.WORKER_STATUS: GatewayConnection._note_status,
    Kind.WORKER_REQUEST_ACK: GatewayConnection._request_ack,
    Kind.WORKER_REQUEST_EXTEND_LEASE: GatewayConnection._extend,
    Kind.WORKER_REPLY: GatewayConnection._reply,
}
