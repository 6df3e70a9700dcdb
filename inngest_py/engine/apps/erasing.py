"""Erase an app for good: its row, its functions and their whole history.

A first transaction archives the app, so that nothing starts meanwhile. Then its runs are deleted in
small batches, as in pruning. A command that was cut off can be given again.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping

from ...domain.errors import Conflict, NotFound
from ...storage.catalog import functions as rows
from ...storage.db.session import Database
from ...storage.operations import pruning
from ...storage.queries import app_list, function_list
from ...storage.runs import function_hours, run_counts
from ..runtime import audit
from ..runtime.audit import Actor
from . import register

_RUNS = 100
# erase runs that ended before now plus this: all ended runs, even if this clock is behind
_LATER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ToErase:
    """What erasing an app deletes; `live` are the runs that have not ended."""

    app_id: str
    functions: int
    runs: int
    live: int


def preview(db: Database, name: str) -> ToErase:
    """Say what erasing an app would delete. Raises NotFound."""
    with db.reading() as tx:
        app = _find(tx, name)
        functions = _functions(tx, app)
        total, live = run_counts.of_functions(tx, functions)
    return ToErase(app["id"], len(functions), total, live)


def erase(db: Database, name: str, now: datetime, by: Actor) -> int:
    """Delete an app with all that belongs to it; return how many runs were deleted.

    Raises NotFound, and Conflict while runs of it have not ended: erasing never cuts off a run.
    """
    with db.transaction() as tx:
        app = _find(tx, name)
        _refuse_live(tx, name, _functions(tx, app))
        register.archive(tx, app, now)
    erased = 0
    while batch := _batch(db, app, now):
        erased += batch
    with db.transaction() as tx:
        rows.lock_functions(tx, app["id"])  # waits for transactions that start runs of them
        if (found := app_list.by_name(tx, name)) is None or found["archived_at"] is None:
            raise Conflict(f"{name} has been registered again meanwhile: stop the app first")
        functions = _functions(tx, app)
        total, _ = run_counts.of_functions(tx, functions)
        if total:
            raise Conflict(f"{name} has had another run meanwhile: give the command again")
        function_hours.drop(tx, functions)
        rows.remove_app(tx, app["id"])
        rows.renew_catalog_version(tx)
        audit.note(tx, by, now, "app.erase", name, f"{erased} runs")
    return erased


def _batch(db: Database, app: RowMapping, now: datetime) -> int:
    with db.transaction() as tx:
        return pruning.erase_runs(tx, _functions(tx, app), now + _LATER, _RUNS).runs


def _find(tx: Connection, name: str) -> RowMapping:
    app = app_list.by_name(tx, name) if name else None
    if app is None:
        raise NotFound(f"app {name[:255]!r} does not exist")
    return app


def _functions(tx: Connection, app: RowMapping) -> list[str]:
    return [row["id"] for row in function_list.every(tx, app_id=app["id"])]


def _refuse_live(tx: Connection, name: str, functions: list[str]) -> None:
    _, live = run_counts.of_functions(tx, functions)
    if live:
        raise Conflict(
            f"{live} runs of {name} have not ended: wait for them, or cancel them first"
            " (inngest-py runs cancel, or POST /v1/cancellations)"
        )
