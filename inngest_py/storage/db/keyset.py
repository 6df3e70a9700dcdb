"""Keyset paging: a page continues after a position, whatever rows were added meanwhile."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, literal, or_, tuple_

from ...domain.values import ids
from .columns import Timestamp
from .row_types import AnyColumn

# A time that has not come yet sorts as the last.
LAST = datetime(9999, 12, 31, tzinfo=UTC)
# SDKs make the ids of seeded events and of durable endpoints' runs by their own clocks. A list
# still finds ids whose clocks are off by this much. It reads the extra rows of that time.
SKEW = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Key:
    """A column to sort by. The last key of an order must be unique."""

    name: str
    column: AnyColumn
    descending: bool = True

    @property
    def sort(self) -> AnyColumn:
        """Write the key with its direction, for ORDER BY."""
        return self.column.desc() if self.descending else self.column.asc()

    def bound(self, value: object) -> AnyColumn:
        """Write a value of this key."""
        return literal(value, self.column.type)


def within(
    column: ColumnElement[str], since: datetime | None, until: datetime | None
) -> list[ColumnElement[bool]]:
    """Bound ids by the times at which they were made.

    Use it beside an exact condition on those times: a list in the order of ids then begins at its
    place in the index, and does not read all newer rows. None leaves an end open.
    """
    bounds = []
    if since is not None:
        bounds.append(column >= ids.lowest_ulid(since, -SKEW))
    if until is not None:
        bounds.append(column < ids.lowest_ulid(until, SKEW))
    return bounds


def known_or_last(column: AnyColumn) -> AnyColumn:
    """Write a time that may not have come yet."""
    return func.coalesce(column, literal(LAST, Timestamp), type_=Timestamp)


def after_position(keys: Sequence[Key], position: Sequence[object]) -> ColumnElement[bool]:
    """Restrict a query to the rows that come after the position in the keys' order."""
    columns = [key.column for key in keys]
    values = [key.bound(value) for key, value in zip(keys, position, strict=True)]
    if len({key.descending for key in keys}) == 1:
        # row values: both databases find them directly in an index
        here, there = tuple_(*columns), tuple_(*values)
        return here < there if keys[0].descending else here > there
    choices = []
    for place, key in enumerate(keys):
        same = [column == value for column, value in zip(columns[:place], values, strict=False)]
        value = values[place]
        ahead = key.column < value if key.descending else key.column > value
        choices.append(and_(*same, ahead))
    return or_(*choices)
