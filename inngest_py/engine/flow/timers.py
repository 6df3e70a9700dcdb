"""The rows of flow control's timers: queue items that belong to no run."""

from datetime import datetime
from typing import Any

from ...domain.runs.items import HINT_GRACE, ItemKind, ItemState


def job_key(kind: ItemKind, name: str) -> str:
    """Give the job key of a bucket's or batch's timer: each has one timer."""
    return f"{kind.value}:{name}"


def row(
    kind: ItemKind, item_id: str, name: str, due_at: datetime, now: datetime, opts: str | None
) -> dict[str, Any]:
    """Make the row of a timer; `name` names its bucket, its batch or its run."""
    return {
        "id": item_id,
        "kind": kind.value,
        "run_id": name,
        "job_key": job_key(kind, name),
        "state": ItemState.READY.value,
        "queued_at": now,
        "due_at": due_at,
        "hint_at": due_at if due_at > now else now + HINT_GRACE,
        "attempt": 0,
        "opts": opts,
        "rank_us": None,
        "gate": None,
    }
