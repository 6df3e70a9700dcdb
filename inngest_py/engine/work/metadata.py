"""Metadata and scores of runs, written under the run's lock."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from ... import observe
from ...domain.errors import NotFound, TooLarge
from ...domain.runs import metadata as rules
from ...domain.runs.metadata import Target, Update
from ...domain.values import canonical
from ...storage.db.row_types import RowValues
from ...storage.queries import run_lookups, timeline_rows
from ...storage.runs import metadata, runs
from ..runtime.context import Context


def annotate(ctx: Context, run_id: str, updates: Sequence[tuple[Target, Update]]) -> None:
    """Apply updates to a run's metadata, all or none.

    Raises NotFound for an unknown run and TooLarge over the limits (execution.md §9). Locks the
    run's row, so that two updates of one target do not overwrite each other.
    """

    def write(tx: Connection) -> None:
        runs.lock(tx, [run_id])
        if run_lookups.function_of(tx, run_id) is None:
            raise NotFound(f"run {run_id} does not exist")
        _write(tx, ctx.now(), run_id, updates)

    ctx.committer.run_once(write)


def note(
    tx: Connection, now: datetime, run_id: str, updates: Sequence[tuple[Target, Update]]
) -> None:
    """Apply updates that came with steps, at least one, in the transaction that stores the steps.

    Over the limits, none is applied and a warning is logged: metadata never fails a step.
    """
    runs.lock(tx, [run_id])
    try:
        _write(tx, now, run_id, updates)
    except TooLarge as error:
        observe.event("metadata.refused", level=30, run_id=run_id, error=error.message)


def _write(
    tx: Connection, now: datetime, run_id: str, updates: Sequence[tuple[Target, Update]]
) -> None:
    """Write the updates. Raises TooLarge over the limits, before anything is written."""
    rows = timeline_rows.metadata_of(tx, run_id)
    known = {(row["target"], row["kind"]): canonical.loads(row["content"]) for row in rows}
    sizes = {(row["target"], row["kind"]): row["size"] for row in rows}
    changed: dict[tuple[str, str], Target] = {}
    for target, update in updates:
        key = (target.key, update.kind)
        known[key] = rules.change(known.get(key, {}), update)
        sizes[key] = len(update.kind.encode()) + len(canonical.dumps(known[key]))
        changed[key] = target
    totals: Counter[str] = Counter()
    for (target_key, _), size in sizes.items():
        totals[target_key] += size
    rules.check_sizes(totals)
    for key, target in changed.items():
        _store(tx, now, run_id, target, key, known[key], sizes[key])


def _store(
    tx: Connection,
    now: datetime,
    run_id: str,
    target: Target,
    key: tuple[str, str],
    values: RowValues,
    size: int,
) -> None:
    if not values:
        metadata.remove(tx, run_id, *key)
        return
    metadata.put(
        tx,
        {
            "run_id": run_id,
            "target": key[0],
            "kind": key[1],
            "scope": target.scope.value,
            "step": target.step,
            "attempt": target.attempt,
            "content": canonical.dumps(values).decode(),
            "size": size,
            "updated_at": now,
        },
    )
