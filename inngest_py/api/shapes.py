"""The JSON shapes of events, runs, queue items and functions (protocol: api.md §2.1, §2.2)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import RowMapping

from ..domain.reports.timeline import SpanTask
from ..domain.runs.runs import RunStatus
from ..domain.values.ids import DEV_ACCOUNT_ID, DEV_ENV_ID
from ..domain.values.json_types import JsonObject
from ..engine.admin import limit_overrides
from ..engine.admin.limit_overrides import FunctionLimits

_STATUS = {
    RunStatus.QUEUED.value: "Scheduled",
    RunStatus.RUNNING.value: "Running",
    RunStatus.COMPLETED.value: "Completed",
    RunStatus.FAILED.value: "Failed",
    RunStatus.CANCELLED.value: "Cancelled",
    RunStatus.SKIPPED.value: "Skipped",
}


def stamp(value: datetime | None) -> str | None:
    """Write a time as RFC 3339 in UTC."""
    return None if value is None else value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def event(row: RowMapping) -> JsonObject:
    """Shape an event."""
    payload = orjson.loads(row["payload"])
    shaped = {
        "internal_id": row["id"],
        "account_id": DEV_ACCOUNT_ID,
        "environment_id": DEV_ENV_ID,
        "source": "",
        "source_id": None,
        "received_at": stamp(row["received_at"]),
        "id": row["external_id"],
        "name": row["name"],
        "data": payload.get("data", {}),
        "ts": payload.get("ts"),
    }
    for name in ("user", "v"):
        if payload.get(name):
            shaped[name] = payload[name]
    return shaped


# a stored row, or one with more columns
ShownRow = RowMapping | Mapping[str, Any]


def output(row: ShownRow) -> object:
    """Read a run's output: its result, or the error that its SDK sent, unchanged."""
    return None if row["output"] is None else orjson.loads(row["output"])


def run(row: RowMapping) -> JsonObject:
    """Shape a run for /v1."""
    shaped = {
        "run_id": row["id"],
        "run_started_at": stamp(row["started_at"] or row["queued_at"]),
        "function_id": row["function_id"],
        "function_version": row["function_version"],
        "environment_id": DEV_ENV_ID,
        "event_id": row["event_id"],
        "status": _STATUS[row["status"]],
        "ended_at": stamp(row["ended_at"]),
    }
    for name in ("batch_id", "original_run_id", "cron"):
        if row[name] is not None:
            shaped[name] = row[name]
    if row["output"] is not None:
        shaped["output"] = output(row)
    return shaped


def task(found: SpanTask | None) -> JsonObject | None:
    """Shape the Celery task of an attempt; None for other attempts."""
    if found is None:
        return None
    return {
        "id": found.id,
        "queue": found.queue,
        "worker": found.host,
        "sent_at": stamp(found.sent_at),
        "received_at": stamp(found.received_at),
        "started_at": stamp(found.started_at),
        "executions": [
            {
                "worker": one.host,
                "received_at": stamp(one.received),
                "started_at": stamp(one.started),
                "retried_at": stamp(one.retried),
                "error": one.error,
            }
            for one in found.executions
        ],
    }


def job(row: RowMapping, sent: SpanTask | None = None) -> JsonObject:
    """Shape a queue item for /v1/runs/{id}/jobs; `sent` is its Celery task, once it was sent."""
    return {
        "JobID": row["id"],
        "at": stamp(row["due_at"]),
        "position": 0,
        "kind": row["kind"],
        "attempt": row["attempt"],
        "Raw": {
            "state": row["state"],
            "step": row["step"],
            "step_name": row["step_name"],
            "queued_at": stamp(row["queued_at"]),
            "lease_until": stamp(row["lease_until"]),
            "worker": row["worker"],
            "task": task(sent),
        },
    }


def limits(found: FunctionLimits) -> limit_overrides.ShownLimits:
    """Shape a function's limits."""
    shown = found.shown()
    if shown["override"] is not None:
        shown["override"] |= {"expires_at": stamp(found.until), "set_at": stamp(found.set_at)}
    return shown


def function(row: RowMapping, now: datetime) -> JsonObject:
    """Shape a function for /v1/apps/{app}/functions, with the limits that are in force."""
    found = limit_overrides.of_row(row, now)
    return {
        "internal_id": row["id"],
        "env_id": DEV_ENV_ID,
        "app_id": row["app_id"],
        "id": row["slug"],
        "name": row["name"],
        "config": orjson.loads(found.effective.to_json())
        | {"id": row["id"], "fv": row["version"], "name": row["name"], "slug": row["slug"]},
        "created_at": stamp(row["created_at"]),
        "archived_at": stamp(row["archived_at"]),
        "paused": row["paused"] is not None,
        "paused_at": stamp(row["paused_at"]),
        "paused_events": row["paused"],
        "limits": limits(found)["override"],
    }
