"""Values for tests, with defaults that make sense."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson

from inngest_py.domain.reply.read import Reply
from inngest_py.domain.runs.items import Item, ItemKind
from inngest_py.domain.runs.runs import Run, RunStatus

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
RUN_ID = "01JD0000000000000000000000"
EVENT = '{"data":{},"id":"01JD0000000000000000000001","name":"a/b","ts":1,"user":{}}'


def step(name: str) -> str:
    """Hash a step id as SDKs do."""
    return hashlib.sha1(name.encode()).hexdigest()


def run(**changes: Any) -> Run:
    """Make a running run without steps."""
    made = Run(
        id=RUN_ID,
        function_id="f",
        function_slug="app-fn",
        event_id="01JD0000000000000000000001",
        status=RunStatus.RUNNING,
        queued_at=NOW,
        started_at=NOW,
        request_version=-1,
        force_plan=False,
        step_count=0,
        state_bytes=0,
        correlation_id=None,
        event_name="a/b",
        event=EVENT,
    )
    return replace(made, **changes)


def item(**changes: Any) -> Item:
    """Make a leased discovery item."""
    made = Item(
        id="01JD0000000000000000000002",
        kind=ItemKind.EDGE,
        run_id=RUN_ID,
        lease_id="l",
        attempt=0,
        queued_at=NOW,
        due_at=NOW,
    )
    return replace(made, **changes)


def reply(status: int, body: Any = None, **headers: str) -> Reply:
    """Make an SDK's answer; header names are written with underscores."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return Reply(status=status, headers={"x-inngest-sdk": "py:v1"} | given, body=raw)


def op(code: str, step_id: str, **more: Any) -> dict[str, Any]:
    """Make an op for a step of this name."""
    return {"op": code, "id": step(step_id), "displayName": step_id} | more
