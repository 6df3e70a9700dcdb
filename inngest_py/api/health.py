"""Whether the server can accept events, and how much work waits; and the probes of orchestrators.

- `GET /health`: what a person or a monitor wants to know.
- `GET /health/live`: the process answers. It does not look at the database: to restart the server
  would not bring that back.
- `GET /health/ready`: requests may be sent here. 503 as soon as the process is asked to stop.
"""

from flask import Blueprint, Response

from ..domain.values.json_types import JsonObject
from ..engine.runtime.probe import Found
from ..storage.db.outages import Fault
from .deps import context, deps
from .errors import answer
from .protocol.events import allow_any_origin

blueprint = Blueprint("health", __name__)
blueprint.after_request(allow_any_origin)
_WORDS = {Fault.AWAY: "away", Fault.REFUSES: "refuses writes", Fault.BUSY: "busy"}


@blueprint.get("/health")
def health() -> Response:
    """Answer 200 when events can be accepted, 503 when they cannot, within two seconds.

    Without the broker or workers, work is only delayed: the answer shows it, and stays 200.
    """
    context().hints.ask()  # broker and database at the same time: one by one takes too long
    found = deps().probe.ask()
    wrong = _wrong(found)
    if wrong is not None:
        return answer(wrong, 503)
    oldest = 0.0 if found.oldest is None else found.oldest.total_seconds()
    shown: JsonObject = {"status": 200, "message": "OK", "database": "ok"}
    shown["clock_skew_seconds"] = round(context().db.clock.skew.total_seconds(), 1)
    shown["broker"] = _broker()
    shown["workers"] = found.workers
    shown["connections"] = len(context().connections.all())
    shown["upkeep_faults"] = found.faults
    shown["backlog"] = {
        "due": found.due,
        "oldest_seconds": round(oldest, 3),
        "in_flight": found.leased,
    }
    return answer(shown)


@blueprint.get("/health/live")
def live() -> Response:
    """Answer 200: the process serves requests."""
    return answer({"status": 200, "message": "OK"})


@blueprint.get("/health/ready")
def ready() -> Response:
    """Answer 200 when requests may be sent here, else 503; the broker has no say."""
    if context().stopping.is_set():
        return answer({"status": 503, "message": "the server is stopping"}, 503)
    wrong = _wrong(deps().probe.ask())
    return answer({"status": 200, "message": "OK"}) if wrong is None else answer(wrong, 503)


def _wrong(found: Found) -> JsonObject | None:
    """Say why no events can be accepted; None if they can."""
    if found.fault is not None:
        return {"status": 503, "message": found.public_message, "database": _WORDS[found.fault]}
    if found.broken:
        body: JsonObject = {"status": 503, "message": found.public_message, "database": "unknown"}
        return body | {"upkeep_faults": found.faults}
    return None


def _broker() -> str:
    if deps().settings.embedded:
        return "in process"
    return "ok" if context().hints.reachable() else "away"
