"""The audit log: who did what, newest first, and who sent an event."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from ..db.columns import table_of
from ..db.keyset import Key
from ..operations.operators import AuditRow
from . import paging
from .paging import Order, Page, Position

_audit = table_of(AuditRow)
NEWEST = Order((Key("id", _audit.c.id),))


def page(
    tx: Connection, *, first: int, after: Position | None = None, name: str | None = None
) -> Page:
    """List what operators did, or what one of them did."""
    query = select(_audit)
    if name is not None:
        query = query.where(_audit.c.name == name)
    return paging.page_of(tx, query, NEWEST, first=first, after=after)


def sender(tx: Connection, event_id: str, received_at: datetime) -> str | None:
    """Return the operator who sent an event from the dashboard; None when nobody did.

    EventRow and audit row are written by the same request, which takes less than a minute.
    """
    query = select(_audit.c.name).where(
        _audit.c.action == "event.send",
        _audit.c.at.between(received_at, received_at + timedelta(minutes=1)),
        _audit.c.target == event_id,
    )
    return tx.execute(query.limit(1)).scalar()
