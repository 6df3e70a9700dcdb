"""The columns of runs that lists and pages may show, by name, and the tables they come from."""

from collections.abc import Sequence

from sqlalchemy import select

from ..catalog.functions import App, FunctionRow
from ..db.columns import table_of
from ..db.row_types import AnyColumn, Query
from ..events.events import EventRow
from ..runs.runs import RunRow

runs = table_of(RunRow)
COLUMNS: dict[str, AnyColumn] = {
    **{column.name: column for column in runs.c},
    "function_slug": table_of(FunctionRow).c.slug,
    "function_name": table_of(FunctionRow).c.name,
    "app_id": table_of(FunctionRow).c.app_id,
    "app_name": table_of(App).c.name,
    "event_name": table_of(EventRow).c.name,
}
# columns of any size: name them only where they are shown
LARGE = ("output", "pending", "input", "defers")
SMALL = tuple(name for name in COLUMNS if name not in LARGE)
WITH_OUTPUT = (*SMALL, "output")


def select_runs(names: Sequence[str]) -> Query:
    """Select columns of runs, with their function, app and event."""
    return (
        select(*[COLUMNS[name].label(name) for name in names])
        .select_from(runs)
        .join(FunctionRow, FunctionRow.id == runs.c.function_id)
        .join(App, App.id == FunctionRow.app_id)
        .join(EventRow, EventRow.id == runs.c.event_id)
    )
