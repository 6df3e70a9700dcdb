"""The context of a GraphQL request: the engine, rows that it has read, and what it may cost."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from graphql import GraphQLResolveInfo
from sqlalchemy import Connection, RowMapping

from ...domain.access.roles import Role
from ...domain.errors import Invalid, NotAllowed
from ...domain.steps.defers import Defer
from ...engine.runtime.context import Context
from ...storage.queries import (
    app_list,
    event_lookups,
    function_list,
    run_detail,
    run_list,
    run_lookups,
)
from ...storage.queries.operations import operation_list

T = TypeVar("T")
MOST_ROWS = 20_000
MOST_BYTES = 64 * 1024 * 1024
OUTCOMES = 100  # newest runs of a function that are counted by status
_CHUNK = 100  # functions that one statement counts: SQLite joins 500 queries at most
# How long a page or a count may evaluate a filter row by row.
SCAN_FOR = timedelta(seconds=3)


class Loader(Generic[T]):
    """Reads values by key for several parts of an answer: all wanted keys in one query."""

    def __init__(self, load: Callable[[list[str]], Mapping[str, T]]) -> None:
        self._load = load
        self._wanted: set[str] = set()
        self._found: dict[str, T | None] = {}

    def want(self, keys: Iterable[str]) -> None:
        """Add keys that are likely to be read, to the next query."""
        self._wanted.update(keys)

    def get(self, key: str) -> T | None:
        """Return the value of a key; None if there is none."""
        if key not in self._found:
            self._wanted.add(key)
            keys = sorted(self._wanted - self._found.keys())
            self._wanted.clear()
            found = self._load(keys)
            self._found |= {wanted: found.get(wanted) for wanted in keys}
        return self._found[key]


def _last_outcomes(tx: Connection, function_ids: Sequence[str]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for start in range(0, len(function_ids), _CHUNK):
        chunk = function_ids[start : start + _CHUNK]
        found |= run_detail.last_outcomes(tx, chunk, OUTCOMES)
    return found


class QueryContext:
    """One request's context, which all resolvers share.

    `kind` and `in_band` say how this server asks SDKs to sync (sync.md §1, §8.2). `role` is that
    of the caller's API token; None for one that may do everything.
    """

    def __init__(self, ctx: Context, kind: str, *, in_band: bool, role: Role | None = None) -> None:
        self.ctx = ctx
        self.kind = kind
        self.in_band = in_band
        self.role = role
        self.deadline = ctx.now() + SCAN_FOR
        self._rows_left = MOST_ROWS
        self._bytes_left = MOST_BYTES
        self.functions: Loader[RowMapping] = self._loader(function_list.by_ids)
        self.outcomes: Loader[dict[str, int]] = self._loader(_last_outcomes)
        self.apps: Loader[RowMapping] = self._loader(app_list.by_ids)
        self.app_functions: Loader[list[RowMapping]] = self._loader(function_list.of_apps)
        self.outputs: Loader[str | None] = self._loader(run_lookups.outputs)
        self.event_runs: Loader[list[RowMapping]] = self._loader(run_list.of_events)
        self.reruns: Loader[RowMapping] = self._loader(operation_list.last_reruns)
        self.defers: Loader[dict[str, Defer]] = self._loader(run_lookups.defers)
        self.events: Loader[RowMapping] = self._loader(event_lookups.by_ids)
        self.payloads: Loader[str] = self._loader(event_lookups.payloads)
        self.batches: Loader[list[str]] = self._loader(event_lookups.ids_of_batches)

    def need(self, role: Role) -> None:
        """Refuse a caller whose token is of a lesser role. Raises NotAllowed."""
        if self.role is not None and not self.role.may(role):
            raise NotAllowed(f"this needs the role {role}, and the API token is {self.role}")

    def read(self, query: Callable[[Connection], T]) -> T:
        """Run a query in a reading transaction of its own."""
        with self.ctx.db.reading() as tx:
            return query(tx)

    def count_rows(self, rows: Sequence[T]) -> Sequence[T]:
        """Count rows of the answer, and return them. Raises Invalid if there are too many."""
        self._rows_left -= len(rows)
        if self._rows_left < 0:
            raise Invalid(
                f"the answer would hold more than {MOST_ROWS} rows: ask for smaller pages or for"
                " fewer nested lists"
            )
        return rows

    def count_text(self, text: str) -> str:
        """Count a text of the answer, and return it. Raises Invalid if there is too much."""
        self._bytes_left -= len(text)
        if self._bytes_left < 0:
            raise Invalid(
                f"the answer would exceed {MOST_BYTES >> 20} MiB: ask for smaller pages, or leave"
                " out payloads and outputs"
            )
        return text

    def _loader(self, load: Callable[[Connection, Sequence[str]], Mapping[str, T]]) -> Loader[T]:
        return Loader(lambda keys: self.read(lambda tx: load(tx, keys)))


Info = GraphQLResolveInfo[QueryContext]


def of(info: Info) -> QueryContext:
    """Return the request that a resolver works for."""
    request: QueryContext = info.context
    return request


def time_left(request: QueryContext) -> float:
    """Return the seconds that the request has left for scans; negative once they are used up."""
    now: datetime = request.ctx.now()
    return (request.deadline - now).total_seconds()
