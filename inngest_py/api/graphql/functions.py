"""Functions and their configurations."""

from collections.abc import Sequence
from datetime import timedelta

from ariadne import ObjectType
from sqlalchemy import RowMapping

from ...domain.errors import NotFound
from ...domain.functions.function_config import (
    DEFAULT_RETRIES,
    Cancel,
    Concurrency,
    EventTrigger,
    FunctionConfig,
    Trigger,
    config_from_json,
)
from ...domain.reports import roll_ups
from ...domain.reports.roll_ups import Bin, Histogram
from ...domain.values import dataclass_json
from ...domain.values.json_types import JsonObject
from ...engine.admin import limit_overrides
from ...storage.queries import function_list
from ...storage.queries.reports import function_figures
from .request import Info, of
from .root import query

function_type = ObjectType("Function")
_SCOPES = {"fn": "FUNCTION", "env": "ENVIRONMENT", "account": "ACCOUNT"}
_HANDLER = "-failure"
_SPANS = {"DAY": "24h", "WEEK": "7d"}
_ROWS_OF_HISTORY = 1000  # it reads up to 10,000 runs that are not in roll-ups yet


@query.field("functions")
def list_functions(_: object, info: Info) -> Sequence[RowMapping]:
    """List the functions that are not archived."""
    request = of(info)
    found = request.read(lambda tx: function_list.every(tx, archived=False))
    request.apps.want(row["app_id"] for row in found)
    request.outcomes.want(row["id"] for row in found)
    return request.count_rows(found)


@query.field("functionBySlug")
def show_function(_: object, info: Info, query: dict[str, str]) -> RowMapping:
    """Find a function by its slug, which begins with the app's name."""
    slug = query["functionSlug"]
    found = of(info).read(lambda tx: function_list.by_slug(tx, slug))
    if found is None:
        raise NotFound(f"function {slug[:255]} does not exist")
    return found


@function_type.field("triggers")
def triggers(function: RowMapping, _: Info) -> list[JsonObject]:
    """List the events and schedules that start the function."""
    return [_trigger(trigger) for trigger in config_from_json(function["config"]).triggers]


def _trigger(trigger: Trigger) -> JsonObject:
    if isinstance(trigger, EventTrigger):
        return {"type": "EVENT", "value": trigger.event, "condition": trigger.expression}
    return {"type": "CRON", "value": trigger.cron, "condition": None}


@function_type.field("app")
def app(function: RowMapping, info: Info) -> RowMapping | None:
    """Find the function's app."""
    return of(info).apps.get(function["app_id"])


@function_type.field("failureHandler")
def failure_handler(function: RowMapping, info: Info) -> dict[str, str] | None:
    """Find the function that SDKs make of `onFailure`."""
    slug = function["slug"] + _HANDLER
    siblings = of(info).app_functions.get(function["app_id"]) or []
    return {"slug": slug} if any(one["slug"] == slug for one in siblings) else None


@function_type.field("configuration")
def configuration(function: RowMapping, info: Info) -> JsonObject:
    """Show the parts of the configuration, with the limits that are in force."""
    config = limit_overrides.of_row(function, of(info).ctx.now()).effective
    return {
        "cancellations": [_cancellation(item) for item in config.cancel],
        "retries": {"value": config.retries, "isDefault": config.retries == DEFAULT_RETRIES},
        "priority": config.priority,
        "eventsBatch": _part(config.batch, maxSize="max_size", timeout="timeout", key="key"),
        "concurrency": [_concurrency(item) for item in _concurrencies(config)],
        "rateLimit": _part(config.rate_limit, limit="limit", period="period", key="key"),
        "debounce": _part(config.debounce, period="period", timeout="timeout", key="key"),
        "throttle": _part(
            config.throttle, burst="burst", key="key", limit="limit", period="period"
        ),
        "singleton": _singleton(config),
    }


def _concurrencies(config: FunctionConfig) -> list[Concurrency]:
    return [*config.concurrency, *([config.run_concurrency] if config.run_concurrency else [])]


def _concurrency(item: Concurrency) -> JsonObject:
    limit = {"value": item.limit, "isPlanLimit": False}
    return {"scope": _SCOPES[item.scope], "limit": limit, "key": item.key}


def _cancellation(item: Cancel) -> JsonObject:
    timeout = _duration(item.timeout)
    if timeout is None and item.until is not None:
        timeout = item.until.isoformat()
    return {"event": item.event, "timeout": timeout, "condition": item.expression}


def _singleton(config: FunctionConfig) -> JsonObject | None:
    found = config.singleton
    return None if found is None else {"mode": found.mode.upper(), "key": found.key}


def _part(part: object | None, **names: str) -> JsonObject | None:
    """Show a part of the configuration under the schema's names."""
    if part is None:
        return None
    found = {shown: getattr(part, name) for shown, name in names.items()}
    return {
        name: _duration(value) if isinstance(value, timedelta) else value
        for name, value in found.items()
    }


def _duration(value: timedelta | None) -> str | None:
    return None if value is None else dataclass_json.duration_text(value)


@function_type.field("outcomes")
def outcomes(function: RowMapping, info: Info) -> Sequence[JsonObject]:
    """Count the function's newest runs by status."""
    request = of(info)
    counted = request.outcomes.get(function["id"]) or {}
    made = [{"status": status.upper(), "runs": counted[status]} for status in sorted(counted)]
    return request.count_rows(made)


@function_type.field("history")
def history(function: RowMapping, info: Info, span: str) -> JsonObject:
    """Show what the function's runs came to over time."""
    request = of(info)
    request.count_rows(range(_ROWS_OF_HISTORY))
    chosen, now = roll_ups.SPANS[_SPANS[span]], request.ctx.now()
    found = request.read(lambda tx: function_figures.of_span(tx, function["id"], chosen, now))
    parts = [_figures(part) for part in found.parts]
    return {"countedTo": found.counted_to, "total": _figures(found.total), "parts": parts}


def _figures(part: Bin) -> JsonObject:
    counted = part.figures
    return {
        "since": part.start,
        "begun": counted.begun,
        "completed": counted.completed,
        "failed": counted.failed,
        "cancelled": counted.cancelled,
        "failureRate": counted.failure_rate,
        "runMs": _percentiles(counted.run_ms),
        "queueMs": _percentiles(counted.queue_ms),
    }


def _percentiles(counted: Histogram) -> JsonObject:
    median, high = counted.median_and_p95
    return {"p50": median, "p95": high}


function_type.set_alias("appID", "app_id")

TYPES = (function_type,)
