"""The canvas of a stored run, for a rerun of it and for what its tasks were called with."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, RowMapping

from ....domain.canvas import interpret
from ....domain.canvas.expressions import Scope
from ....domain.canvas.nodes import Canvas
from ....domain.errors import Invalid
from ....domain.events.event_record import INVOKED
from ....domain.steps import tasks
from ....domain.values import canonical
from ....storage.flow import event_batches
from ....storage.operations import reruns
from ....storage.runs import steps
from ...runtime.catalog import Function
from ...runtime.context import Context
from . import canvases, workflows

_MOST_BYTES = 4 * 1024 * 1024  # of the results that are read for a page


def of_run(
    tx: Connection, function: Function, source: RowMapping, run_id: str, now: datetime
) -> Canvas:
    """Read the canvas of a run, whose row `source` is that of reruns.source(). Raises Invalid."""
    task = function.config.celery
    if task is not None and task.workflow:
        return workflows.read(tx, run_id, task.queue)
    return canvases.read(function.config, source["event_name"], _events(tx, source), now)


def arguments(tx: Connection, ctx: Context, run_id: str, step: str) -> interpret.Edited | None:
    """Find what the task of a step was called with, or would be called with next.

    None if that is not known: the event is deleted, the task's settings have changed since and its
    arguments come from them, the run has too many results, or the step is that of an errback.
    """
    source = reruns.source(tx, run_id, locked=False)
    if source is None or source["event_name"] is None or source["state_bytes"] > _MOST_BYTES:
        return None
    revision = source["current_version"], source["limits_revision"]
    try:
        function = ctx.catalog.get(tx, source["function_id"], revision)
        task = function.config.celery
        if task is None or (_is_by_settings(source) and not task.workflow):
            return None
        canvas = of_run(tx, function, source, run_id, ctx.now())
        return _found(tx, ctx, canvas, source, run_id, step, has_scope=task.workflow)
    except Invalid:
        return None


def _is_by_settings(source: RowMapping) -> bool:
    """Say whether a run's arguments came from settings that have changed since."""
    is_same: bool = source["function_version"] == source["current_version"]
    return not is_same and source["event_name"] != INVOKED


def _found(
    tx: Connection,
    ctx: Context,
    canvas: Canvas,
    source: RowMapping,
    run_id: str,
    step: str,
    *,
    has_scope: bool,
) -> interpret.Edited | None:
    paths = {tasks.step_of(path): path for path, _, _ in interpret.tasks(canvas)}
    if step not in paths:
        return None
    memo = steps.memo(tx, [run_id])[run_id]
    known = {
        path: tasks.result_from_json(memo[one])
        for one, path in paths.items()
        if one in memo and one != step and tasks.is_result(memo[one])
    }

    def stored(path: str) -> object:
        if path not in known:
            raise Invalid("the result of a step before is missing")
        return known[path]

    events = [canonical.loads(event) for event in _events(tx, source)] if has_scope else []
    scope = Scope(lambda: events, stored, ctx.now()) if has_scope else None
    edited = {}
    if source["input"] is not None and source["input_step"] == step:
        edited = {paths[step]: tasks.edited_from_json(source["input"])}
    moves = interpret.replay(canvas, known, scope=scope, edited=edited)
    call = next((one for one in moves.calls if one.path == paths[step]), None)
    return None if call is None else {"args": call.args, "kwargs": call.kwargs}


def _events(tx: Connection, source: RowMapping) -> Sequence[str]:
    batch = event_batches.payloads(tx, [source["batch_id"]]) if source["batch_id"] else {}
    payloads: Sequence[str] = batch.get(source["batch_id"], [source["event_payload"]])
    return payloads
