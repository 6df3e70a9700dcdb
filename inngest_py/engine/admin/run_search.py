"""A search of runs: what columns decide, and what only the values of a row do."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, RowMapping

from ...domain.events import filters
from ...domain.events.filters import Condition
from ...domain.operations import selections
from ...domain.operations.selections import RunSelection
from ...domain.runs import outputs, phases
from ...storage.queries import function_list, run_list
from ...storage.queries.paging import Fits, Order, Position, Window
from ...storage.queries.run_columns import SMALL
from ...storage.queries.run_filters.choosing import is_rare
from ...storage.queries.run_filters.run_query import RunQuery
from . import search_keys


@dataclass(frozen=True, slots=True)
class RunSearch:
    """The runs that a list shows: its query, and the expression that they fulfil, or None."""

    query: RunQuery
    cel: filters.Filter | None
    now: datetime

    @property
    def fits(self) -> Fits | None:
        """The filter of a search, which reads many rows; None for a list that needs none."""
        query = self.query
        by_columns = query.text is None and query.event_prefix is None and not query.looked_up
        if by_columns and (self.cel is None or self.cel.exact):
            return None
        return self._fits

    def _fits(self, row: RowMapping) -> bool:
        if self.cel is None or self.cel.exact:
            return True
        found = outputs.variables(row["payload"], row["output"], row["status"])
        return self.cel.matches(found, self.now)

    def look(
        self,
        tx: Connection,
        after: Position | None,
        limit: int,
        *,
        by: Order = run_list.NEWEST,
        columns: Sequence[str] = SMALL,
    ) -> Window:
        """Read a window of runs after a position, with what the filter asks for."""
        values = self.cel is not None and not self.cel.exact
        return run_list.look(
            tx, self.query, by, limit=limit, after=after, columns=columns, values=values
        )


def divided(
    tx: Connection, conditions: Sequence[Condition]
) -> tuple[tuple[Condition, ...], tuple[Condition, ...]]:
    """Divide conditions into those that find runs or need the JSON, and those of columns.

    The latter have no index of runs: they are looked up run by run, as far as a page may look.
    """
    by_column = [one for one in conditions if not one.in_json]
    others = tuple(one for one in by_column if not is_rare(tx, one))
    return tuple(one for one in conditions if one not in others), others


def query_of(tx: Connection, chosen: RunSelection) -> RunQuery:
    """Make the query of a selection of runs. Raises Invalid for a search key of no function.

    A function or an app that does not exist has no runs.
    """
    statuses, kinds = phases.chosen(chosen.status)
    name, prefix = selections.within_ids(chosen)
    wanted = chosen.filter
    conditions = wanted.conditions if wanted is not None else ()
    if name is not None:
        conditions = (*conditions, Condition(("name",), "==", name))
    ids = None
    if chosen.function is not None or chosen.app is not None:
        ids = function_list.ids_of(tx, chosen.function, chosen.app)
    return RunQuery(
        since=chosen.since,
        until=chosen.until,
        statuses=statuses,
        phases=kinds,
        function_ids=ids,
        conditions=conditions,
        text=chosen.text,
        event_prefix=prefix,
        error_id=chosen.error,
        keys=search_keys.checked(tx, chosen.keys),
    )
