"""The state of a run as its app fetches it when it is too large for a request."""

from sqlalchemy import Connection, RowMapping, select

from ...domain.runs.runs import LIVE
from ..flow import event_batches
from ..runs import steps
from . import event_lookups
from .run_columns import runs

_LIVE = [status.value for status in LIVE]


def memo(tx: Connection, run_id: str) -> dict[str, str] | None:
    """Read the memo of a run, with new input of a rerun: hash to stored JSON.

    None when the run has ended or does not exist.
    """
    run = _live(tx, run_id)
    if run is None:
        return None
    found = steps.memo(tx, [run_id])[run_id]
    if run["input_step"] is not None:
        found.setdefault(run["input_step"], run["input"])
    return found


def event_payloads(tx: Connection, run_id: str) -> list[str] | None:
    """Read the payloads of a run's events in the order of its batch, without deleted ones.

    None when the run has ended or does not exist.
    """
    run = _live(tx, run_id)
    if run is None:
        return None
    if run["batch_id"] is not None:
        return event_batches.payloads(tx, [run["batch_id"]]).get(run["batch_id"], [])
    event = event_lookups.get(tx, run["event_id"])
    return [] if event is None else [event["payload"]]


def _live(tx: Connection, run_id: str) -> RowMapping | None:
    shown = (runs.c.event_id, runs.c.batch_id, runs.c.input_step, runs.c.input)
    query = select(*shown).where(runs.c.id == run_id, runs.c.status.in_(_LIVE))
    return tx.execute(query).mappings().first()
