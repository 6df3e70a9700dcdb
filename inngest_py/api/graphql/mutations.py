"""Mutations: each is one call of the engine (protocol: api.md §5.3)."""

from typing import Any

from sqlalchemy import RowMapping

from ...domain.access.roles import Role
from ...domain.errors import Invalid, NotFound
from ...domain.runs import rerun as rules
from ...domain.runs.runs import ENDED
from ...domain.values import canonical
from ...engine.admin.rerun import rerun
from ...engine.apps import manage as app_moves
from ...engine.intake.invoke import invoke
from ...engine.work.end_run import cancel
from ...storage.queries import app_list, function_list
from ..actors import actor
from . import runs
from .request import Info, QueryContext, of
from .root import mutation


@mutation.field("createApp")
def create_app(_: object, info: Info, input: dict[str, str]) -> RowMapping:
    """Ask the SDK at a URL to sync."""
    request = of(info)
    made = app_moves.create(
        request.ctx, input["url"], kind=request.kind, in_band=request.in_band, by=actor()
    )
    return _app(request, made)


@mutation.field("updateApp")
def update_app(_: object, info: Info, input: dict[str, str]) -> RowMapping:
    """Move an app to another URL."""
    request = of(info)
    moved = app_moves.update(
        request.ctx,
        input["id"],
        input["url"],
        kind=request.kind,
        in_band=request.in_band,
        by=actor(),
    )
    return _app(request, moved)


def _app(request: QueryContext, app_id: str) -> RowMapping:
    found = request.read(lambda tx: app_list.by_ids(tx, [app_id])).get(app_id)
    if found is None:
        raise NotFound("the app was removed meanwhile")
    return found


@mutation.field("deleteApp")
def delete_app(_: object, info: Info, id: str) -> str:
    """Archive an app."""
    of(info).need(Role.ADMIN)
    if not app_moves.delete(of(info).ctx, id, actor()):
        raise NotFound(f"app {id[:64]} does not exist")
    return id


@mutation.field("deleteAppByName")
def delete_app_by_name(_: object, info: Info, name: str) -> bool:
    """Archive the app with this name, if there is one."""
    of(info).need(Role.ADMIN)
    return app_moves.delete_by_name(of(info).ctx, name, actor())


@mutation.field("invokeFunction")
def invoke_function(
    _: object,
    info: Info,
    functionSlug: str,
    debugSessionID: str | None = None,
    debugRunID: str | None = None,
    **given: Any,
) -> bool:
    """Invoke a function; the ids of a debugging session are put into the event's meta."""
    payload = {name: value for name, value in given.items() if value is not None}
    debug = {"sessionID": debugSessionID, "runID": debugRunID}
    if any(debug.values()):
        kept = {name: value for name, value in debug.items() if value is not None}
        payload["meta"] = {**payload.get("meta", {}), "debug": kept}
    invoke(of(info).ctx, functionSlug, payload, len(canonical.dumps(payload)), by=actor())
    return True


@mutation.field("cancelRun")
def cancel_run(_: object, info: Info, runID: str) -> RowMapping:
    """Cancel a run that has not ended."""
    request = of(info)
    before = cancel(request.ctx, runID, actor())
    if before in ENDED:
        raise Invalid(f"run {runID} cannot be cancelled: it is {before.value}", field="runID")
    return runs.find(request, runID)


@mutation.field("rerun")
def rerun_run(_: object, info: Info, runID: str, fromStep: dict[str, str] | None = None) -> str:
    """Start a run again, from its start or from a step."""
    step = None if fromStep is None else _from_step(fromStep)
    return rerun(of(info).ctx, runID, step, actor())


def _from_step(given: dict[str, str]) -> rules.FromStep:
    text = given.get("input")
    try:
        return rules.from_step(given["stepID"], None if text is None else canonical.loads(text))
    except Invalid as error:
        raise Invalid(f"fromStep: {error.message}", field=error.field or "fromStep.input") from None


@mutation.field("createDebugSession")
def create_debug_session(_: object, info: Info, input: dict[str, str]) -> dict[str, str]:
    """Make the ids of a debugging session of a function."""
    request = of(info)
    slug, run_id = input["functionSlug"], input.get("runID")
    if request.read(lambda tx: function_list.by_slug(tx, slug)) is None:
        raise NotFound(f"function {slug[:255]} does not exist")
    if run_id:
        runs.find(request, run_id)
    return {"debugSessionID": request.ctx.new_id(), "debugRunID": request.ctx.new_id()}
