"""Walks over the runs of a function: the next of them, and the events that made them."""

from collections.abc import Sequence

from sqlalchemy import Connection, RowMapping, func, select

from ...domain.runs.runs import ENDED
from ..db.columns import table_of
from ..events.events import EventRow
from ..flow import event_batches
from ..runs.runs import RunRow

_runs, _events = table_of(RunRow), table_of(EventRow)
_ENDED = [status.value for status in ENDED]


def below(
    tx: Connection, function_id: str, before: str, lowest: str | None, limit: int
) -> list[RowMapping]:
    """List the newest runs whose ids sort before one, and not before `lowest`: ids and status."""
    query = select(_runs.c.id, _runs.c.event_id, _runs.c.batch_id)
    query = query.where(_runs.c.function_id == function_id, _runs.c.id < before)
    if lowest is not None:
        query = query.where(_runs.c.id >= lowest)
    return list(tx.execute(query.order_by(_runs.c.id.desc()).limit(limit)).mappings())


def count(tx: Connection, function_id: str, before: str, most: int) -> int:
    """Count the runs whose ids sort before one, up to `most`."""
    query = select(_runs.c.id).where(_runs.c.function_id == function_id, _runs.c.id < before)
    found = query.limit(most).subquery()
    counted: int = tx.execute(select(func.count()).select_from(found)).scalar_one()
    return counted


def keep(tx: Connection, run_ids: Sequence[str]) -> list[str]:
    """Keep runs from being pruned until this transaction ends; return those that are still there.

    Only the rows of ended runs are locked, in the order of their ids: pruning alone changes them,
    and never waits for a lock. Runs that live are not pruned, and nobody waits for this.
    """
    chosen = select(_runs.c.id).where(_runs.c.id.in_(run_ids)).order_by(_runs.c.id)
    ended = chosen.where(_runs.c.status.in_(_ENDED)).with_for_update(read=True, key_share=True)
    kept = list(tx.execute(ended).scalars())
    return kept + list(tx.execute(chosen.where(_runs.c.status.not_in(_ENDED))).scalars())


def sizes(tx: Connection, runs: Sequence[RowMapping]) -> list[int]:
    """Say how many characters the events of each run have: of one event, or of an event batch."""
    length = func.length(_events.c.payload)
    alone = select(_events.c.id, length).where(_events.c.id.in_([row["event_id"] for row in runs]))
    of_events = {row[0]: row[1] for row in tx.execute(alone)}
    batches = sorted({row["batch_id"] for row in runs if row["batch_id"] is not None})
    of_batches = event_batches.sizes(tx, batches) if batches else {}
    return [
        of_events.get(row["event_id"], 0)
        if row["batch_id"] is None
        else of_batches.get(row["batch_id"], 0)
        for row in runs
    ]


def payloads(tx: Connection, runs: Sequence[RowMapping]) -> dict[str, list[str]]:
    """Read the events that made runs, by run: one, or all of an event batch."""
    batches = sorted({row["batch_id"] for row in runs if row["batch_id"] is not None})
    members = event_batches.payloads(tx, batches) if batches else {}
    alone = [row["event_id"] for row in runs if row["batch_id"] is None]
    query = select(_events.c.id, _events.c.payload).where(_events.c.id.in_(alone))
    of_events = {row[0]: [row[1]] for row in tx.execute(query)}
    return {
        row["id"]: members.get(row["batch_id"], [])
        if row["batch_id"] is not None
        else of_events.get(row["event_id"], [])
        for row in runs
    }
