"""Write the search keys of new runs, in the transaction that makes them."""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from ...domain.functions import search_keys as rules
from ...domain.functions.search_keys import SearchKeys
from ...domain.values import canonical
from ...domain.values.json_types import JsonObject
from ...storage.db.row_types import RowValues
from ...storage.flow import event_batches
from ...storage.runs import run_search_keys
from ..flow.arrivals import Arrival


def rows_of(keys: SearchKeys, run_id: str, events: Iterable[JsonObject]) -> list[RowValues]:
    """Make the rows of a run's keys."""
    pairs = rules.of_events(keys, events)
    return [{"run_id": run_id, "key": key, "value": value} for key, value in pairs]


def of_arrivals(tx: Connection, made: Sequence[Arrival]) -> None:
    """Write the keys of runs. Functions without keys cost no statement, and no parsing."""
    keyed = [arrival for arrival in made if arrival.function.search_keys]
    if not keyed:
        return
    batches = [arrival.batch_id for arrival in keyed if arrival.batch_id is not None]
    members = event_batches.payloads(tx, batches) if batches else {}
    rows: list[RowValues] = []
    for one in keyed:
        events: Iterable[JsonObject] = [one.trigger.fields]
        if one.batch_id is not None:
            events = (canonical.loads(payload) for payload in members.get(one.batch_id, []))
        rows += rows_of(one.function.search_keys, one.run_id, events)
    run_search_keys.add(tx, rows)


def of_run(
    tx: Connection, keys: SearchKeys, run_id: str, payload: str, batch_id: str | None = None
) -> None:
    """Write the keys of one run: of its event, or of all events of its batch."""
    if not keys:
        return
    payloads = [payload]
    if batch_id is not None:
        payloads = event_batches.payloads(tx, [batch_id]).get(batch_id, [])
    rows = rows_of(keys, run_id, (canonical.loads(one) for one in payloads))
    run_search_keys.add(tx, rows)
