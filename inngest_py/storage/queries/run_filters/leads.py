"""By which index a list of runs is read: SQLite has no statistics by which it could choose."""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import func

from ...db.row_types import AnyColumn

Pair = tuple[str, str]


class LeadBy(StrEnum):
    """What decides first which rows are read."""

    STATUS = "status"
    FUNCTION = "function"
    EVENT = "event"  # a name that few events have
    PHASE = "phase"  # one in which few runs are
    KEY = "key"  # a search key


@dataclass(frozen=True, slots=True)
class Lead:
    """How to read a list; None for `by` leaves it to the database.

    A search key that leads has an order of its own, which the other columns do not disturb.
    `hides` keeps SQLite from reading by another index than the lead's: PostgreSQL has statistics.
    With `many_items`, the phase of a run is looked up, and not found by the items of all runs.
    """

    key: Pair | None = None
    by: LeadBy | None = None
    hides: bool = False
    many_items: bool = False

    def column(self, by: LeadBy, column: AnyColumn) -> AnyColumn:
        """Give a column to compare: of another lead, so that no index of it is used."""
        if not self.hides or self.by is None or self.by is by:
            return column
        return func.coalesce(column, "")

    @property
    def is_rare(self) -> bool:
        """Whether the lead finds few rows, which are then sorted."""
        return self.by in (LeadBy.EVENT, LeadBy.PHASE)
