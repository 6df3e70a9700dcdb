"""The rows of flow control's timers: queue items that belong to no run."""

from datetime import datetime

from ...domain.runs.items import ItemKind
from ...storage.queue import queue_items
from ...storage.queue.queue_items import ItemRow


def job_key(kind: ItemKind, name: str) -> str:
    """Give the job key of a bucket's or batch's timer: each has one timer."""
    return f"{kind.value}:{name}"


def row(
    kind: ItemKind, item_id: str, name: str, due_at: datetime, now: datetime, opts: str | None
) -> ItemRow:
    """Make the row of a timer; `name` names its bucket, its batch or its run."""
    return queue_items.new_row(
        item_id,
        kind,
        name,
        job_key(kind, name),
        due_at=due_at,
        now=now,
        opts=opts,
        rank_us=None,
        gate=None,
    )
