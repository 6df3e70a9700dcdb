"""The objects of /v2 as proto-JSON (protocol: api.md §4, Objects)."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import RowMapping

from ...domain.values.json_types import JsonObject
from ...engine.admin import limit_overrides
from .. import shapes
from .common import compact, raw

_FAILED = "inngest/function.failed"
_SCOPES = {"fn": "FUNCTION", "env": "ENVIRONMENT", "account": "ACCOUNT"}


def short(slug: str, app: str) -> str:
    """Write a function's slug without its app's name."""
    return slug.removeprefix(f"{app}-") or slug


def milliseconds(start: datetime | None, end: datetime | None) -> str | None:
    """Write how long something took: a 64-bit integer, which proto-JSON writes as a string."""
    if start is None or end is None:
        return None
    return str(max(0, (end - start) // timedelta(milliseconds=1)))


def run(row: shapes.ShownRow, batched: Mapping[str, list[str]], output: str | None) -> JsonObject:
    """Shape a FunctionRun; `batched` has the event ids of event batches, by batch id.

    Without `output`, the stored JSON, it is left out.
    """
    app = {"id": row["app_name"]}
    shown: JsonObject = {
        "id": row["id"],
        "function": {
            "id": short(row["function_slug"], row["app_name"]),
            "name": row["function_name"],
            "app": app,
        },
        "app": app,
        "status": row["status"].upper(),
        "queuedAt": shapes.stamp(row["queued_at"]),
        "startedAt": shapes.stamp(row["started_at"]),
        "endedAt": shapes.stamp(row["ended_at"]),
        "durationMs": milliseconds(row["started_at"], row["ended_at"]),
        "trigger": {
            "eventIds": batched.get(row["batch_id"]) or [row["event_id"]],
            "eventName": row["event_name"],
            "isBatch": row["batch_id"] is not None,
            "batchId": row["batch_id"],
            "cronSchedule": row["cron"],
        },
    }
    if output is not None:
        shown["output"] = raw(output)
    return shown


def app(row: RowMapping, functions: int) -> JsonObject:
    """Shape an App."""
    return {
        "id": row["name"],
        "name": row["name"],
        "method": row["method"].upper(),
        "appVersion": row["app_version"],
        "createdAt": shapes.stamp(row["created_at"]),
        "isArchived": row["archived_at"] is not None,
        "archivedAt": shapes.stamp(row["archived_at"]),
        "functionCount": functions,
        "latestSync": compact(
            {
                "status": "ERROR" if row["error"] else "SUCCESS",
                "syncedAt": shapes.stamp(row["synced_at"]),
                "sdkLanguage": row["sdk_language"],
                "sdkVersion": row["sdk_version"],
                "framework": row["framework"],
                "url": row["url"],
                "error": row["error"],
                "appVersion": row["app_version"],
            }
        ),
    }


def function(row: RowMapping, handlers: dict[str, str], now: datetime) -> JsonObject:
    """Shape a Function; `handlers` has the names of the app's failure handlers, by slug."""
    config = orjson.loads(limit_overrides.of_row(row, now).effective.to_json())
    slug = short(row["slug"], row["app_name"])
    handler = f"{row['slug']}-failure"
    return {
        "id": slug,
        "name": row["name"],
        "slug": slug,
        "isPaused": row.get("paused") is not None,
        "isArchived": row["archived_at"] is not None,
        "app": {"id": row["app_name"]},
        "triggers": [_trigger(item) for item in config.get("triggers", ())],
        "failureHandler": {"slug": short(handler, row["app_name"]), "name": handlers[handler]}
        if handler in handlers
        else None,
        "configuration": _configuration(config),
    }


def handlers(rows: Sequence[RowMapping]) -> dict[str, str]:
    """Find the failure handlers among functions; return their names by slug."""
    return {row["slug"]: row["name"] for row in rows if _FAILED in row["config"]}


def _trigger(item: dict[str, Any]) -> JsonObject:
    if "cron" in item:
        return {"type": "CRON", "value": item["cron"]}
    return {"type": "EVENT", "value": item["event"], "if": item.get("expression")}


def _configuration(config: dict[str, Any]) -> JsonObject:
    retries = config.get("retries", 4)
    limits = [*config.get("concurrency", ()), config.get("run_concurrency")]
    return {
        "cancellations": [
            {
                "event": item["event"],
                "timeout": item.get("timeout") or item.get("until"),
                "condition": item.get("expression"),
            }
            for item in config.get("cancel", ())
        ],
        "retries": {"value": retries, "isDefault": retries == 4},
        "priority": config.get("priority"),
        "eventsBatch": _of(config, "batch", {"maxSize": "max_size", "timeout": "", "key": ""}),
        "concurrency": [_limit(item) for item in limits if item],
        "rateLimit": _of(config, "rate_limit", {"limit": "", "period": "", "key": ""}),
        "debounce": _of(config, "debounce", {"period": "", "key": ""}),
        "throttle": _of(config, "throttle", {"burst": "", "key": "", "limit": "", "period": ""}),
        "singleton": _singleton(config.get("singleton")),
    }


def _of(config: dict[str, Any], key: str, names: dict[str, str]) -> JsonObject | None:
    item = config.get(key)
    if item is None:
        return None
    return {name: item.get(stored or name) for name, stored in names.items()}


def _limit(item: dict[str, Any]) -> JsonObject:
    return {
        "scope": _SCOPES.get(item.get("scope", "fn"), "FUNCTION"),
        "limit": {"value": item["limit"]},
        "key": item.get("key"),
    }


def _singleton(item: dict[str, Any] | None) -> JsonObject | None:
    return None if item is None else {"mode": item["mode"].upper(), "key": item.get("key")}
