"""One worker's connection, as a state machine: frames in, frames and actions out (connect.md).

It does no I/O and reads no clock. Whoever holds the socket passes in what arrived and the time,
and does what the actions say, in their order.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from google.protobuf.message import DecodeError, Message

from ..access import tokens
from ..errors import Invalid
from . import calls, codes, worker_hello
from .actions import (
    Action,
    Answer,
    Close,
    Extend,
    GoesOn,
    Lapsed,
    Send,
    Status,
    StatusChanged,
    Sync,
)
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

NEVER = datetime.max.replace(tzinfo=UTC)
HELLO_WITHIN = timedelta(seconds=5)
HEARTBEAT = timedelta(seconds=10)
MOST_MISSED = 5
# When a worker pauses, a request may be on its way to it. SDKs drop it then without a word.
DROPPED_AFTER = timedelta(seconds=5)
MOST_MESSAGE_BYTES = 8 * 1024 * 1024
_READY = GatewayConnectionReadyData(
    heartbeat_interval="10s", extend_lease_interval="30s", status_interval="0s"
)


@dataclass(slots=True)
class _InFlight:
    """A request: when it lapses, whether its worker has begun it, whether its answer is here."""

    until: datetime
    acked: bool = False
    answered: bool = False


# each look at an enumeration of protobuf takes a microsecond
_REQUEST, _REPLY_ACK = Kind.GATEWAY_EXECUTOR_REQUEST, Kind.WORKER_REPLY_ACK


def frame(kind: Kind, message: Message | None = None) -> Send:
    """Write one message of the gateway."""
    payload = b"" if message is None else message.SerializeToString()
    return Send(ConnectMessage(kind=kind, payload=payload).SerializeToString())


_HEARTBEAT = frame(Kind.GATEWAY_HEARTBEAT)


@dataclass(slots=True)
class GatewayConnection:
    """The state of one connection.

    `secrets` check the worker's session token. Once `is_over`, everything that arrives is dropped.
    `early` are messages that came before the hello, until it is checked. If it `asks_when_idle`,
    the worker is asked to go once it has answered all.
    """

    secrets: tuple[bytes, ...] = field(repr=False)
    opened_at: datetime
    status: Status = Status.CONNECTED
    worker: Worker | None = None
    is_synced: bool = False
    is_over: bool = False
    asks_when_idle: bool = False
    is_held: bool = False  # by an operator: it gets no more work
    is_leaving: bool = False  # by its own word
    last_heartbeat: datetime | None = None
    in_flight: dict[str, _InFlight] = field(default_factory=dict)
    # no request lapses before; a look at each of them for each message would cost most of it
    none_lapses_before: datetime = NEVER
    early: list[ConnectMessage] = field(default_factory=list)

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
        return self._handle(message, now)

    def _handle(self, message: ConnectMessage, now: datetime) -> list[Action]:
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
        if message.kind in _EARLY and self._has_room_for(message):
            self.early.append(message)
            return []
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

    @property
    def early_bytes(self) -> int:
        """How much of early messages is kept."""
        return sum(len(one.payload) for one in self.early)

    @property
    def is_idle(self) -> bool:
        """Whether nothing but heartbeats is to be expected."""
        return self.status is Status.READY and not self.in_flight

    def _has_room_for(self, message: ConnectMessage) -> bool:
        held = self.early_bytes + len(message.payload)
        return len(self.early) < _MOST_EARLY and held <= MOST_MESSAGE_BYTES

    def _authenticate(self, worker: Worker, now: datetime) -> None:
        try:
            allowed = tokens.session(worker.session_token, self.secrets, now.timestamp())
        except Invalid as error:
            raise Refused(codes.UNAUTHENTICATED, error.message) from None
        if allowed != worker.connection_id:
            raise Refused(codes.UNAUTHENTICATED, "the token is of another connection")

    def synced(self, now: datetime) -> list[Action]:
        """Go on after the worker's apps have been synced."""
        if self.is_over:
            return []
        self.is_synced = True
        ready = frame(Kind.GATEWAY_CONNECTION_READY, _READY)
        if self.worker is not None and self.worker.manual_ready:
            done: list[Action] = [StatusChanged(self.status), ready]
        else:
            # the status last: the worker must not get a request before it knows that it is ready
            done = [ready, *self._get_ready()]
        early, self.early = self.early, []
        return [*done, *(action for one in early for action in self._handle(one, now))]

    def sync_failed(self, code: str, message: str) -> list[Action]:
        """Say why an app could not be synced, and close."""
        failed = frame(Kind.SYNC_FAILED, SystemError(code=code, message=message))
        return [failed, *self._close(Ending(codes.POLICY, code))]

    def failed(self) -> list[Action]:
        """Close after an error of our own."""
        return self._close(codes.INTERNAL_ERROR)

    def too_large(self, head: bytes = b"") -> list[Action]:
        """Close after a message that is over the limit; an answer ends its call by its head."""
        close = self._close(codes.MESSAGE_TOO_LARGE)
        cut = calls.read_cut_response(head) if self.worker and close else None
        return close if cut is None else [self._answered(cut, is_cut=True), *close]

    def send(self, request: Request, now: datetime) -> list[Action]:
        """Send a request; it counts as in flight from now on.

        Raises ConnectionError if the worker takes no more.
        """
        if self.status is not Status.READY or self.is_over:
            raise ConnectionError("the worker is not ready")
        self._count(request.id, _InFlight(now + calls.ACK_WITHIN))
        return [frame(_REQUEST, request.message())]

    def adopt(self, request_id: str, now: datetime) -> None:
        """Count a request that the worker got over an earlier connection."""
        self._count(request_id, _InFlight(now + calls.LEASE, acked=True))

    def _count(self, request_id: str, one: _InFlight) -> None:
        self.in_flight[request_id] = one
        self.none_lapses_before = min(self.none_lapses_before, one.until)

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
        ack = frame(_REPLY_ACK, WorkerReplyAckData(request_id=request_id))
        return [*self._unless_over(ack), *self._leave_if_idle()]

    def drain(self) -> list[Action]:
        """Send no more requests; ask the worker to go to another gateway once it has answered.

        The Python SDK sends no answers from then on until it is connected again. It sends them
        half a minute later, and not at all if it is stopped before.
        """
        if self.worker is None or not self.is_synced:
            return self._close(codes.GATEWAY_CLOSING)
        if self.status >= Status.DISCONNECTING or self.is_over:
            return []
        self.asks_when_idle = True
        return [*self._leave_if_idle(), *self._become(Status.DISCONNECTING)]

    def leave(self) -> list[Action]:
        """Ask the worker to go now, whatever it has in flight: that ends here or elsewhere."""
        if self.is_over or not self.asks_when_idle:
            return []
        self.asks_when_idle = False
        return [frame(Kind.GATEWAY_CLOSING)]

    def _leave_if_idle(self) -> list[Action]:
        return [] if self.in_flight else self.leave()

    def hold(self, held: bool) -> list[Action]:
        """Let a worker get no more work, or some again."""
        if self.is_over or held == self.is_held:
            return []
        self.is_held = held
        if held:
            return self._become(Status.DRAINING) if self.status is Status.READY else []
        waits = self.status is Status.DRAINING and not self.is_leaving
        return self._become(Status.READY) if waits else []

    def stop(self) -> list[Action]:
        """Close at the end of a drain."""
        return self._close(codes.GATEWAY_CLOSING)

    def ended(self) -> list[Action]:
        """Note that the socket is closed."""
        self.is_over = True
        self.early = []
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
        return self._lapsed(now) if now >= self.none_lapses_before else []

    def _lapsed(self, now: datetime) -> list[Action]:
        over = [(name, one) for name, one in self.in_flight.items() if now >= one.until]
        for name, _ in over:
            self.forget(name)
        left = (one.until for one in self.in_flight.values())
        self.none_lapses_before = min(left, default=NEVER)
        return [Lapsed(name, one.acked) for name, one in over if not one.answered]

    def due_at(self) -> datetime:
        """Say when tick() is due next, if nothing arrives before."""
        if self.worker is None or self.last_heartbeat is None:
            return self.opened_at + HELLO_WITHIN
        return min(self.last_heartbeat + MOST_MISSED * HEARTBEAT, self.none_lapses_before)

    def unread(self, now: datetime) -> None:
        """Note that nothing is read from the worker now: its heartbeats are not missing."""
        self.last_heartbeat = now

    def _heartbeat(self, _payload: bytes, now: datetime) -> list[Action]:
        self.last_heartbeat = now
        return [_HEARTBEAT]

    def _is_ready(self, _payload: bytes, _now: datetime) -> list[Action]:
        if not self.is_synced or self.status is not Status.CONNECTED:
            return []
        return self._get_ready()

    def _pause(self, _payload: bytes, now: datetime) -> list[Action]:
        known, self.is_leaving = self.is_leaving, True
        if known or self.status > Status.DRAINING:
            return []
        for name, one in list(self.in_flight.items()):
            if not one.acked:
                self._count(name, replace(one, until=min(one.until, now + DROPPED_AFTER)))
        return [] if self.status is Status.DRAINING else self._become(Status.DRAINING)

    def _note_status(self, payload: bytes, _now: datetime) -> list[Action]:
        WorkerStatusData.FromString(payload)  # informational (§6)
        return []

    def _request_ack(self, payload: bytes, now: datetime) -> list[Action]:
        request_id = WorkerRequestAckData.FromString(payload).request_id
        known = self.in_flight.get(request_id)
        if known is None:
            return [GoesOn(request_id)]
        known.until, known.acked = now + calls.LEASE, True
        self.none_lapses_before = min(self.none_lapses_before, known.until)
        return []

    def _extend(self, payload: bytes, _now: datetime) -> list[Action]:
        return [Extend(WorkerRequestExtendLeaseData.FromString(payload))]

    def _reply(self, payload: bytes, _now: datetime) -> list[Action]:
        response = calls.read_response(payload)
        return [self._answered(response)]

    def _answered(self, response: SDKResponse, *, is_cut: bool = False) -> Answer:
        known = self.in_flight.get(response.request_id)
        if known is not None:
            known.acked = known.answered = True
        return Answer(response, is_cut)

    def _get_ready(self) -> list[Action]:
        return self._become(Status.DRAINING if self.is_held else Status.READY)

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


# What the Python SDK may send as soon as it is connected again, before its hello: it would lose it
# with the connection, and sends an answer again only half a minute later.
_EARLY = (Kind.WORKER_REQUEST_ACK, Kind.WORKER_REQUEST_EXTEND_LEASE, Kind.WORKER_REPLY)
_MOST_EARLY = 1000

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
