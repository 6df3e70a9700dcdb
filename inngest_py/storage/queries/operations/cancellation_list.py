"""The list of bulk cancellations, with the names of their functions."""

from sqlalchemy import Connection, RowMapping, select

from ...catalog.functions import App, FunctionRow
from ...db.columns import table_of
from ...db.keyset import Key
from ...operations.bulk_cancellations import BulkCancellationRow
from .. import paging
from ..paging import Order, Page, Position

_rows = table_of(BulkCancellationRow)
NEWEST = Order((Key("id", _rows.c.id),))
_shown = (
    select(_rows, FunctionRow.slug.label("function_slug"), App.name.label("app_name"))
    .join(FunctionRow, FunctionRow.id == _rows.c.function_id)
    .join(App, App.id == FunctionRow.app_id)
)


def get(tx: Connection, cancellation_id: str) -> RowMapping | None:
    """Find a cancellation; None when there is none."""
    return tx.execute(_shown.where(_rows.c.id == cancellation_id)).mappings().first()


def page(tx: Connection, *, first: int, after: Position | None) -> Page:
    """List cancellations, newest first."""
    return paging.page_of(tx, _shown, NEWEST, first=first, after=after)
