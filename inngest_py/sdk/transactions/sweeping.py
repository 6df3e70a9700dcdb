"""Delete results that nobody can ask for any more: old ones, of runs that have ended.

A result is read when its step is tried again. How long that may take nobody can say: the function
may be paused, or the app away for days. So age alone deletes nothing; the server is asked.
"""

import asyncio
import random
import threading
from collections.abc import Awaitable
from datetime import timedelta

import inngest

from .. import server_api
from ..databases.choose import choose
from ..databases.database import Database
from . import table

KEPT = timedelta(days=30)
_ENDED = {"Completed", "Failed", "Cancelled", "Skipped"}
# One transaction in a hundred sweeps 200 runs: more than come in, so the table does not grow.
_ODDS, _RUNS = 0.01, 200
_under_way = threading.Lock()
_OLD = (
    "SELECT run_id FROM inngest_transactions WHERE seen_at < :before"
    " GROUP BY run_id ORDER BY MIN(seen_at) LIMIT {limit:d}"
)
_DELETE = "DELETE FROM inngest_transactions WHERE run_id = :run_id AND seen_at < :before"
_SEEN = "UPDATE inngest_transactions SET seen_at = :now WHERE run_id = :run_id"


def sweep(
    database: object,
    client: inngest.Inngest,
    *,
    older_than: timedelta = KEPT,
    limit: int = 1000,
) -> int | Awaitable[int]:
    """Delete the results of runs that have ended, if they are older; return of how many runs.

    At most `limit` runs are looked at, the oldest first; the server of `client` is asked for each.
    A run that goes on keeps its results, and is looked at again when `older_than` has passed once
    more. With an async engine or session, await it. `transaction` does this by itself now and then,
    with 30 days. Raises TypeError or ValueError for arguments that cannot be.
    """
    if older_than < timedelta(0):
        raise ValueError(f"older_than: must not be negative, but it is {older_than}")
    chosen = choose(database, "database")
    if chosen.is_async:
        return chosen.run(lambda: _sweep(chosen, client, older_than, limit))
    return _sweep(chosen, client, older_than, limit)


def now_and_then(database: Database, client: inngest.Inngest) -> None:
    """Sweep in the background, seldom; what goes wrong is logged."""
    if random.random() >= _ODDS or not _under_way.acquire(blocking=False):
        return
    apart = database.apart()
    if apart is None:
        _under_way.release()
        return

    def work() -> None:
        try:
            apart.run_here(lambda: _sweep(apart, client, KEPT, _RUNS))
        except Exception as error:
            client.logger.warning(f"{table.TABLE.name} was not swept: {error}")
        finally:
            _under_way.release()

    threading.Thread(target=work, name="inngest-sweep", daemon=True).start()


def _sweep(database: Database, client: inngest.Inngest, older_than: timedelta, limit: int) -> int:
    before = table.now_ms() - int(older_than.total_seconds() * 1000)
    with database.begin() as transaction:
        rows = transaction.execute(_OLD.format(limit=limit), {"before": before}).rows
    swept = 0
    for (run_id,) in rows:
        has_ended = _ask(database, client, str(run_id))
        with database.begin() as transaction:
            if has_ended:
                transaction.execute(_DELETE, {"run_id": run_id, "before": before})
            else:
                transaction.execute(_SEEN, {"run_id": run_id, "now": table.now_ms()})
        swept += has_ended
    return swept


def _ask(database: Database, client: inngest.Inngest, run_id: str) -> bool:
    if database.is_async:
        return database.wait(asyncio.to_thread(_has_ended, client, run_id))
    return _has_ended(client, run_id)


def _has_ended(client: inngest.Inngest, run_id: str) -> bool:
    """Ask the server; a run that it does not know was deleted after its end."""
    answer = server_api.get(client, f"/v1/runs/{run_id}")
    if answer.status_code == 404:
        return True
    if answer.status_code == 400:  # no id of a run: it must not stop the others
        return False
    answer.raise_for_status()
    return answer.json()["data"]["status"] in _ENDED
