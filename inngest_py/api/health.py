"""`GET /health`: whether the server can take work, and what waits."""

from collections.abc import Sequence
from typing import Any

from flask import Blueprint, Response
from sqlalchemy import RowMapping
from sqlalchemy.exc import SQLAlchemyError

from ..engine.upkeep.workers import ALIVE
from ..storage import backlog, workers
from .deps import context, deps
from .errors import answer
from .events import allow_any_origin

blueprint = Blueprint("health", __name__)
blueprint.after_request(allow_any_origin)


@blueprint.get("/health")
def health() -> Response:
    """Answer 200 when events can be accepted, 503 when they cannot.

    A broker that is away or the lack of workers only delays work: they are shown, not failed on.
    """
    ctx = context()
    body: dict[str, Any] = {"status": 200, "message": "OK", "database": "ok"}
    try:
        now = ctx.now()
        with ctx.db.reading() as tx:
            count, oldest, leased = backlog.size(tx, now)
            alive = workers.alive(tx, now - ALIVE)
    except SQLAlchemyError:
        return answer(
            {"status": 503, "message": "the database cannot be reached", "database": "away"}, 503
        )
    body["clock_skew_seconds"] = round(ctx.db.clock.skew.total_seconds(), 1)
    body["broker"] = _broker()
    body["workers"] = len(alive)
    body["upkeep_faults"] = sorted({*ctx.faults, *_faults(alive)})
    age = max(0.0, (now - oldest).total_seconds()) if oldest is not None else 0.0
    body["backlog"] = {"due": count, "oldest_seconds": round(age, 3), "in_flight": leased}
    return answer(body)


def _faults(alive: Sequence[RowMapping]) -> list[str]:
    """Name the services of upkeep that fail in some worker."""
    return [name for row in alive if row["faults"] for name in row["faults"].split(",")]


def _broker() -> str:
    if deps().settings.embedded:
        return "in process"
    return "ok" if context().hints.reachable() else "away"
