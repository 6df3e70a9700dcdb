"""What ended a wait, and the memo value that its step gets (execution.md §2)."""

from dataclasses import asdict, dataclass
from datetime import datetime

from ..values import canonical
from .waits import WaitInfo, WaitKind

_TIMED_OUT = "Timed out waiting for invoked function to complete"
_TIMED_OUT_NAME = "InngestInvokeTimeoutError"


@dataclass(frozen=True, slots=True)
class LookBack:
    """A look at stored events that is still to do, for a wait that times out at `until` (ISO).

    `expression` is that of the wait. `steps` is how many results the run had when the wait was
    opened. `horizon` is set when writers were busy at the last look, after `looks` of them: the
    transaction before which all must have ended (storage.events.events.in_flight).
    """

    event: str
    expression: str | None
    until: str
    steps: int
    looks: int = 0
    horizon: int | None = None

    @property
    def times_out(self) -> datetime:
        """When the wait times out."""
        return datetime.fromisoformat(self.until)


@dataclass(frozen=True, slots=True)
class StoredWait:
    """A wait as its item stores it: `info` is shown in the timeline, `races` is that of its op.

    With `look`, the item is due at once, and stored events come first.
    """

    kind: WaitKind
    info: WaitInfo
    races: bool
    look: LookBack | None = None

    def written(self) -> str:
        """Write this as the item's opts; read_wait() reads it."""
        opts: dict[str, object] = {
            "info": self.info,
            "race": self.races,
            "wait": self.kind.value,
        }
        if self.look is not None:
            opts["look"] = asdict(self.look)
        return canonical.dumps(opts).decode()


def read_wait(opts: str | None) -> StoredWait:
    """Read the opts of a wait's item."""
    found = canonical.loads(opts or "{}")
    look = LookBack(**found["look"]) if "look" in found else None
    return StoredWait(WaitKind(found["wait"]), found["info"], found["race"], look)


@dataclass(frozen=True, slots=True)
class EndedBy:
    """What ended a wait: an event, by its internal id and payload, or a signal's data.

    The payload is None when the event is no longer stored.
    """

    event_id: str | None = None
    event: str | None = None
    data: object = None


@dataclass(frozen=True, slots=True)
class WaitResult:
    """A wait's memo value as JSON, the error in it, if any, and its info for the timeline."""

    value: str
    error: str | None
    info: str


def wait_result(wait: StoredWait, answer: EndedBy | None) -> WaitResult:
    """Make the memo value of a step that has waited; without an answer it has timed out."""
    info: WaitInfo = {**wait.info, "kind": wait.kind.value, "timedOut": answer is None}
    value, error = "null", None
    if wait.kind is WaitKind.INVOKE:
        value, error = _invoked(answer, info)
    elif answer is not None and wait.kind is WaitKind.EVENT:
        # None: deleted before a very late worker came to it
        value = canonical.for_sdks(answer.event or "null")
        info["foundEventID"] = answer.event_id
    elif answer is not None:
        value = canonical.dumps({"data": {"data": answer.data, "signal": info["signal"]}}).decode()
    return WaitResult(value, error, canonical.dumps(info).decode())


def _invoked(answer: EndedBy | None, info: WaitInfo) -> tuple[str, str | None]:
    """Read the answer of an invoked function (execution.md §2).

    The protocol asks for the finished event's whole data when the event has neither result nor
    error, as after a cancellation.
    """
    if answer is None or answer.event is None:
        error: object = {
            "error": f"{_TIMED_OUT_NAME}: {_TIMED_OUT}",
            "message": _TIMED_OUT,
            "name": _TIMED_OUT_NAME,
        }
        return _error_result(error)
    data = canonical.loads(answer.event)["data"]
    info["returnEventID"], info["runID"] = answer.event_id, data.get("run_id") or None
    if data.get("error") is not None:
        return _error_result(data["error"])
    result = data.get("result", data)
    return canonical.dumps({"data": result}).decode(), None


def _error_result(error: object) -> tuple[str, str]:
    return (
        canonical.dumps({"error": error}).decode(),
        canonical.dumps(error).decode(),
    )
