"""What people and programs see of a connected worker. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ..connect.actions import Status

_WORDS = {
    Status.CONNECTED: "connecting",
    Status.READY: "ready",
    Status.DRAINING: "draining",
    Status.DISCONNECTING: "moving",  # to another gateway
    Status.DISCONNECTED: "gone",
}


@dataclass(frozen=True, slots=True)
class RunningCall:
    """A call that a worker has; `step` is None for the function's own code."""

    run_id: str
    function: str
    step: str | None


@dataclass(frozen=True, slots=True)
class ConnectedWorker:
    """A worker's connection. `versions` are the versions of its apps, by the app's id.

    `runs` are the first of the `in_flight` calls. `gateway` is the address of the process that
    holds the connection. `memory` is in bytes. `closed_at` and `close_reason` are None while it
    is open.
    """

    id: str
    instance: str
    status: Status
    versions: Mapping[str, str]
    groups: Mapping[str, str]
    sdk_language: str
    sdk_version: str
    platform: str
    os: str
    cores: int
    memory: int
    capacity: int
    in_flight: int
    runs: Sequence[RunningCall]
    gateway_id: str
    gateway: str
    connected_at: datetime
    heartbeat_at: datetime
    drain_asked_at: datetime | None
    closed_at: datetime | None
    close_reason: str | None

    @property
    def state(self) -> str:
        """Where the connection is, in one word."""
        return _WORDS[self.status]

    @property
    def is_open(self) -> bool:
        """Whether the worker is connected."""
        return self.closed_at is None

    @property
    def sdk(self) -> str:
        """The SDK with its version."""
        return f"{self.sdk_language} {self.sdk_version}".strip()

    @property
    def system(self) -> str:
        """What the worker's machine has; 0 means that it is not known."""
        cores = f"{self.cores} cores" if self.cores > 0 else ""
        memory = f"{self.memory / 2**30:.1f} GB" if self.memory > 0 else ""
        return ", ".join(part for part in (self.os, cores, memory) if part)
