"""What the state machine of a worker's connection asks of whoever holds the socket."""

from dataclasses import dataclass
from enum import IntEnum

from .codes import Ending
from .messages_pb2 import SDKResponse, WorkerRequestExtendLeaseData
from .worker_hello import Worker


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
class GoesOn:
    """The worker has acknowledged a request that it got over an earlier connection."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Take a worker's answer, store it, then call acknowledge(); `is_cut` if it was too large."""

    response: SDKResponse
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Lapsed:
    """The worker has said nothing of a request for too long; `acked` if it had begun it."""

    request_id: str
    acked: bool


Action = Send | Close | Sync | StatusChanged | Extend | GoesOn | Answer | Lapsed
