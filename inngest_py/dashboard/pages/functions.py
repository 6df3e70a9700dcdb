"""The pages of functions: triggers, limits and last runs, each with its forms."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from flask import Response, request
from sqlalchemy import Connection, RowMapping

from ...domain.access.roles import Role
from ...domain.errors import Invalid, NotFound
from ...domain.functions import cron
from ...domain.functions.function_config import CronTrigger, FunctionConfig, config_from_json
from ...domain.runs.runs import RunStatus
from ...domain.values import canonical
from ...engine.admin import limit_overrides, search_keys
from ...engine.admin.search_keys import ShownKey
from ...storage.queries import celery_app_list, function_list, run_detail, run_list
from ...storage.queries.reports import last_events
from ...storage.queries.run_filters.run_query import RunQuery
from ..deps import context, read
from ..parts import celery_cards, function_rows, history, limit_words, task_form
from ..parts.function_rows import FunctionRow
from ..parts.words import pretty
from ..rendering import page, url
from ..routes import route
from .runs import beside

_PAGE = 50
_OUTCOMES = 100
_TICKS = 5
_RECENT = 15
_MOST_FILLED = 64 * 1024  # characters of an event whose data a form is filled with
_EMPTY, _EMPTY_CALL = "{\n  \n}", '{\n  "args": [],\n  "kwargs": {}\n}'


@route("/functions", Role.VIEWER)
def functions() -> Response:
    """List functions with their triggers and what their runs of the last 24 hours came to."""
    wanted = request.args.get("q", "").strip().lower()
    start = max(0, request.args.get("from", 0, type=int))
    by, problem, status = function_rows.sorting({}), None, 200
    try:
        by = function_rows.sorting(request.args)
    except Invalid as error:
        problem, status = error.message, 400

    def load(tx: Connection) -> tuple[list[FunctionRow], dict[str, object], int]:
        every = function_list.every(tx, archived=request.args.get("archived") == "1")
        found = [row for row in every if wanted in f"{row['slug']} {row['app_name']}".lower()]
        rows, counted_to = function_rows.rows(
            tx, found, by, context().now(), start=start, end=start + _PAGE
        )
        return rows, {"total": len(every), "counted_to": counted_to}, len(found)

    rows, found, matching = read(load)
    listed = [row.function for row in rows]
    configs = {row["id"]: config_from_json(row["config"]) for row in listed}
    following = start + _PAGE if matching > start + _PAGE else None
    return page(
        "functions.html",
        status,
        **found,
        rows=rows,
        configs=configs,
        given=request.args,
        following=following,
        headings=function_rows.HEADINGS,
        by=by,
        problem=problem,
    )


def _outcomes(tx: Connection, function_ids: list[str]) -> dict[str, dict[str, object]]:
    counted = run_detail.last_outcomes(tx, function_ids, _OUTCOMES)
    return {function_id: _outcome(counts) for function_id, counts in counted.items()}


def _outcome(counts: dict[str, int]) -> dict[str, object]:
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


def show(
    function_id: str,
    problem: str | None = None,
    status: int = 200,
    *,
    wrong: Mapping[str, str] | None = None,
    wrong_keys: str = "",
    not_invoked: str | None = None,
) -> Response:
    """Make a function's page; `problem` is what was wrong with a form, by field in `wrong`.

    `wrong_keys` says it for the search keys, `not_invoked` for the data of an invocation.
    """
    now, span = context().now(), "24h"
    try:
        span = history.chosen(request.args)
    except Invalid as error:
        problem, status = error.message, 400
    found = read(lambda tx: _load(tx, function_id, span, now))
    config = config_from_json(found["function"]["config"])
    in_force, app = found.pop("limits"), found.pop("celery_app")
    last = found.pop("last_event")
    like, filled = _filled(config, last)
    return page(
        "function.html",
        status,
        **found,
        config=config,
        limits=limit_words.limits(in_force.effective),
        override=in_force,
        changed=limit_words.changed(in_force),
        form=limit_words.form(in_force),
        terms=limit_words.TERMS,
        ticks=_ticks(config, now),
        filled=request.form.get("data", filled),
        filled_from=like,
        not_invoked=not_invoked,
        spans=history.SPANS,
        here=url("function", function_id=function_id, span=request.args.get("span")),
        problem=problem,
        wrong_keys=wrong_keys,
        keys_text=_keys_text(found["search_keys"]),
        wrong=wrong or {},
        task=_task(config, app, wrong or {}),
    )


def _load(tx: Connection, function_id: str, span: str, now: datetime) -> dict[str, Any]:
    """Read what a function's page shows."""
    row = find(tx, function_id)
    query = RunQuery(function_ids=[row["id"]])
    recent = run_list.page(tx, query, first=_RECENT).rows
    again, errors = beside(tx, recent)
    return {
        "function": row,
        "limits": limit_overrides.of_row(row, now),
        "outcomes": _outcomes(tx, [row["id"]])[row["id"]],
        "recent": recent,
        "again": again,
        "errors": errors,
        "search_keys": search_keys.of_function(tx, row["id"]),
        "history": history.of_function(tx, row["id"], span, now),
        "last_event": last_events.of_function(tx, row["id"], _MOST_FILLED),
        "celery_app": celery_app_list.by_id(tx, row["app_id"]),
    }


def _filled(config: FunctionConfig, last: RowMapping | None) -> tuple[str | None, str]:
    """Fill the form of an invocation with the function's last event; return its id and the data.

    The id is None if nothing was filled in: there is none, it is too large, or it is no call of
    the Celery task.
    """
    empty = _EMPTY if config.celery is None else _EMPTY_CALL
    if last is None or last["size"] > _MOST_FILLED:
        return None, empty
    data = canonical.loads(last["payload"]).get("data")
    # what the server adds to invocations is not for people to send
    given = {name: value for name, value in (data or {}).items() if name != "_inngest"}
    if not given or (config.celery is not None and not given.keys() <= {"args", "kwargs"}):
        return None, empty
    return last["id"], pretty(canonical.dumps(given).decode())


def _task(
    config: FunctionConfig, app: RowMapping | None, wrong: Mapping[str, str]
) -> dict[str, Any] | None:
    """Make what the page of a Celery task has more than others; None for other functions."""
    if config.celery is None or config.celery.task is None:
        return None
    known, gone = celery_cards.task_state(app, config.celery.task)
    fields = (*task_form.FIELDS, task_form.MORE)
    mine = {name: wrong[name] for name in fields if name in wrong}
    shown = task_form.form(config, request.form, mine)
    queue = config.celery.queue or (app["queue"] if app is not None else None)
    return {"of": config.celery, "known": known, "gone": gone, "form": shown, "queue": queue}


def _keys_text(keys: Sequence[ShownKey]) -> str:
    """Write the search keys for their form, or what was wrong there, once more."""
    lines = "\n".join(f"{key.name} = {key.path}" for key in keys)
    return request.form.get("keys", lines)


def find(tx: Connection, function_id: str) -> RowMapping:
    """Read a function's row. Raises NotFound."""
    row = function_list.get(tx, function_id)
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
