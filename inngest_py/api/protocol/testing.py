"""`/test` and `/fn/…-limit`: routes of a dev server for test suites (api.md §3, sync.md §10).

Served only by a dev server with `--test-api`. `accountId` is ignored: there is one account.
"""

from flask import Blueprint, Response, request

from ...domain.errors import Invalid, NotFound
from ...domain.values import ids
from ...domain.values.json_fields import MAX_INTEGER
from ...engine.admin import testing
from ...engine.work.end_run import cancel as cancel_run
from ...storage.queries import function_list, queue_stats, run_lookups
from ..actors import actor
from ..deps import context
from ..errors import answer

blueprint = Blueprint("testing", __name__, url_prefix="/test")
limits = Blueprint("test_limits", __name__, url_prefix="/fn")


def _function_id() -> str:
    function_id = request.args.get("fnId", "")
    if not function_id:
        raise Invalid("fnId is required: the function's UUID", field="fnId")
    with context().db.reading() as tx:
        if function_list.get(tx, function_id) is None:
            raise NotFound(f"function {function_id[:64]} does not exist")
    return function_id


@blueprint.post("/function/pause")
def pause() -> Response:
    """Pause a function, and hold the runs of new events, too."""
    testing.pause(context(), _function_id())
    return answer({"ok": True})


@blueprint.post("/function/runs/cancel")
def cancel() -> Response:
    """Cancel a run of a function; one that has ended stays as it is."""
    function_id, run_id = _function_id(), request.args.get("runId", "")
    if not ids.is_ulid(run_id):
        raise Invalid("runId must be a run's ULID", field="runId")
    with context().db.reading() as tx:
        owner = run_lookups.function_of(tx, run_id)
    if owner != function_id:
        raise NotFound(f"run {run_id} of this function does not exist")
    cancel_run(context(), run_id, actor())
    return answer({"ok": True})


@blueprint.get("/queue/function-queue-size")
def queue_size() -> Response:
    """Count what is queued for a function."""
    function_id = _function_id()
    with context().db.reading() as tx:
        return answer({"count": queue_stats.of_function(tx, function_id)})


@blueprint.post("/reset")
def reset() -> Response:
    """Drop all state; apps and functions stay, and none is paused any more."""
    testing.reset(context())
    return answer({"ok": True})


@limits.route("/step-limit", methods=["POST", "DELETE"])
def step_limit() -> Response:
    """Set how many steps a function's runs may have, or undo that."""
    return _limit("steps")


@limits.route("/state-size-limit", methods=["POST", "DELETE"])
def state_size_limit() -> Response:
    """Set how many bytes the state of a function's runs may have, or undo that."""
    return _limit("state_bytes")


def _limit(name: str) -> Response:
    named = request.values.get("functionId", "")
    if not named:
        raise Invalid("functionId is missing: the function's UUID or slug", field="functionId")
    most = None if request.method == "DELETE" else _most()
    testing.limit_runs(context(), named, name, most)
    return answer({"ok": True})


def _most() -> int:
    text = request.values.get("limit", "")
    if not (text.isascii() and text.isdigit() and 0 < int(text[:12]) <= MAX_INTEGER):
        raise Invalid(f"limit must be a whole number from 1 to {MAX_INTEGER}", field="limit")
    return int(text)
