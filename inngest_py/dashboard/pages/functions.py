"""The pages of functions: triggers, limits and last runs, with forms to pause and invoke."""

from datetime import datetime
from typing import Any

from flask import Response, redirect, request
from sqlalchemy import Connection, RowMapping
from werkzeug.wrappers import Response as AnyResponse

from ...domain.access.roles import Role
from ...domain.errors import Conflict, Invalid, NotFound
from ...domain.functions import cron
from ...domain.functions.function_config import CronTrigger, FunctionConfig, config_from_json
from ...domain.runs.runs import RunStatus
from ...domain.values import canonical
from ...engine.admin import limit_overrides, pause_function
from ...engine.flow.arrivals import SKIP
from ...engine.intake.invoke import invoke
from ...storage.catalog import functions as rows
from ...storage.queries import run_detail, run_lists
from ...storage.queries.run_lists import RunQuery
from ..deps import context, read
from ..rendering import page, url
from ..routes import route
from . import limits
from .audit import actor

_PAGE = 50
_OUTCOMES = 100
_TICKS = 5
_RECENT = 15


@route("/functions", Role.VIEWER)
def functions() -> Response:
    """List functions with their triggers and the outcomes of their last runs."""
    wanted = request.args.get("q", "").strip().lower()
    start = max(0, request.args.get("from", 0, type=int))

    def load(tx: Connection) -> dict[str, Any]:
        every = rows.functions(tx, archived=request.args.get("archived") == "1")
        found = [row for row in every if wanted in f"{row['slug']} {row['app_name']}".lower()]
        shown = found[start : start + _PAGE]
        outcomes = _outcomes(tx, [row["id"] for row in shown])
        return {"total": len(every), "matching": len(found), "shown": shown, "outcomes": outcomes}

    found = read(load)
    configs = {row["id"]: config_from_json(row["config"]) for row in found["shown"]}
    following = start + _PAGE if found["matching"] > start + _PAGE else None
    return page("functions.html", **found, configs=configs, given=request.args, following=following)


def _outcomes(tx: Connection, function_ids: list[str]) -> dict[str, dict[str, Any]]:
    counted = run_detail.last_outcomes(tx, function_ids, _OUTCOMES)
    return {function_id: _outcome(counts) for function_id, counts in counted.items()}


def _outcome(counts: dict[str, int]) -> dict[str, Any]:
    ended = sum(counts.get(status, 0) for status in ("completed", "failed"))
    failed = counts.get(RunStatus.FAILED.value, 0)
    return {
        "counts": counts,
        "runs": sum(counts.values()),
        "rate": failed / ended if ended else None,
    }


@route("/functions/<function_id>", Role.VIEWER)
def function(function_id: str) -> Response:
    """Show a function."""
    return show(function_id)


def show(function_id: str, problem: str | None = None, status: int = 200) -> Response:
    """Make a function's page; `problem` is what was wrong with a form."""
    now = context().now()

    def load(tx: Connection) -> dict[str, Any]:
        row = _find(tx, function_id)
        query = RunQuery(function_ids=[row["id"]])
        return {
            "function": row,
            "limits": limit_overrides.of_row(row, now),
            "outcomes": _outcomes(tx, [row["id"]])[row["id"]],
            "recent": run_lists.page(tx, query, run_lists.BY_ID, limit=_RECENT),
        }

    found = read(load)
    config = config_from_json(found["function"]["config"])
    in_force = found.pop("limits")
    return page(
        "function.html",
        status,
        **found,
        config=config,
        limits=limits.limits(in_force.effective),
        override=in_force,
        changed=limits.changed(in_force),
        form=limits.form(in_force),
        terms=limits.TERMS,
        ticks=_ticks(config, now),
        filled=request.form.get("data", "{\n  \n}"),
        here=url("function", function_id=function_id),
        problem=problem,
    )


def _find(tx: Connection, function_id: str) -> RowMapping:
    row = rows.shown(tx, function_id)
    if row is None:
        raise NotFound(f"function {function_id[:64]} does not exist")
    return row


def _ticks(config: FunctionConfig, now: datetime) -> list[tuple[CronTrigger, list[datetime]]]:
    """List the next ticks of each schedule."""
    found = []
    for trigger in config.triggers:
        if not isinstance(trigger, CronTrigger):
            continue
        ticks: list[datetime] = []
        while len(ticks) < _TICKS:
            tick = cron.next_after(trigger.cron, ticks[-1] if ticks else now)
            if tick is None:
                break
            ticks.append(tick)
        found.append((trigger, ticks))
    return found


@route("/functions/<function_id>/pause", Role.OPERATOR, methods=("POST",))
def function_pause(function_id: str) -> AnyResponse:
    """Pause a function; the form says whether new events are skipped or held."""
    events = request.form.get("events", SKIP)
    row = read(lambda tx: _find(tx, function_id))
    pause_function.pause(context(), row["id"], events, actor())
    return redirect(url("function", function_id=row["id"], done="paused"), 303)


@route("/functions/<function_id>/resume", Role.OPERATOR, methods=("POST",))
def function_resume(function_id: str) -> AnyResponse:
    """Resume a function."""
    row = read(lambda tx: _find(tx, function_id))
    pause_function.resume(context(), row["id"], actor())
    return redirect(url("function", function_id=row["id"], done="resumed"), 303)


@route("/functions/<function_id>/invoke", Role.OPERATOR, methods=("POST",))
def function_invoke(function_id: str) -> AnyResponse:
    """Invoke a function with data."""
    row = read(lambda tx: _find(tx, function_id))
    text = request.form.get("data", "").strip()
    try:
        data = _data(text)
        made = invoke(context(), row["id"], {"data": data}, len(text.encode()), by=actor())
    except (Invalid, Conflict) as error:
        return show(function_id, error.message, 400)
    if made.run_id is None:
        return redirect(url("event", event_id=made.event_id, done="invoked"), 303)
    return redirect(url("run", run_id=made.run_id, done="invoked"), 303)


def _data(text: str) -> Any:
    try:
        return canonical.loads(text) if text else {}
    except Invalid as error:
        raise Invalid(f"the data is not JSON: {error.message}", field="data") from None
