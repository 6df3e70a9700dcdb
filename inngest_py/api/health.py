"""`GET /health`: whether the server can accept events, and how much work waits."""

from flask import Blueprint, Response

from ..domain.values.json_types import JsonObject
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
    if found.fault is not None:
        body = {"status": 503, "message": found.public_message, "database": _WORDS[found.fault]}
        return answer(body, 503)
    if found.broken:
        body = {"status": 503, "message": found.public_message, "database": "unknown"}
        return answer(body | {"upkeep_faults": found.faults}, 503)
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


def _broker() -> str:
    if deps().settings.embedded:
        return "in process"
    return "ok" if context().hints.reachable() else "away"
