"""The catalogue: functions and their triggers, cached in the process by a version number.

Every change of a function replaces the number in the database. Every transaction that starts runs
reads it, so no event is matched against functions that were replaced before the event came.
Invariant: only committed functions are cached. A transaction that changes functions never reads
the catalogue.
"""

import math
import time
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, RowMapping

from ... import observe
from ...domain import cel
from ...domain.errors import Invalid, Unreadable
from ...domain.functions import overrides, search_keys
from ...domain.functions.function_config import EventTrigger, FunctionConfig, config_from_json
from ...domain.functions.search_keys import SearchKeys
from ...domain.values import canonical, names
from ...domain.values.json_types import JsonObject
from ...storage.catalog import functions as rows
from ...storage.catalog.functions import Revision
from ...storage.db.session import Database
from ...storage.queries import function_list


@dataclass(frozen=True, slots=True)
class Function:
    """A registered function as the engine uses it.

    `overridden` is its configuration under an override, in force until `until`, None for ever.
    Only flow/limits.py chooses between the two.
    """

    id: str
    app_id: str
    app_name: str
    slug: str
    name: str
    url: str
    version: int
    config: FunctionConfig
    paused: str | None = None
    overridden: FunctionConfig | None = None
    until: datetime | None = None
    limits_revision: int = 0
    search_keys: SearchKeys = field(default_factory=dict)

    @property
    def revision(self) -> Revision:
        """The numbers of its row that change with it: while they are the same, this is current."""
        return self.version, self.limits_revision


@dataclass(slots=True)
class Catalog:
    """The functions known to this process."""

    version: int = -1
    by_id: dict[str, Function] = field(default_factory=dict)
    by_slug: dict[str, Function] = field(default_factory=dict)
    by_pattern: dict[str, list[Function]] = field(default_factory=dict)
    stored: dict[str, Function] = field(default_factory=dict)
    unreadable: dict[str, Revision] = field(default_factory=dict)  # left to newer versions
    looked_at: float = -math.inf  # by the monotonic clock

    def refresh_if_older(self, db: Database, seconds: float) -> None:
        """Refresh, in a transaction of its own, unless that was done within some seconds."""
        now = time.monotonic()
        if now - self.looked_at > seconds:
            with db.reading() as tx:
                self.refresh(tx)
            self.looked_at = now

    def refresh(self, tx: Connection, version: int | None = None) -> None:
        """Read the functions again if any of them has changed since.

        `version` is the catalogue's number, if the transaction has read it already.
        """
        if version is None:
            version = rows.catalog_version(tx)
        if version == self.version:
            return
        _refuse_uncommitted(tx)
        stored = (self._read(row) for row in function_list.every(tx, archived=False))
        found = [function for function in stored if function is not None]
        by_pattern: dict[str, list[Function]] = {}
        for function in found:
            for trigger in function.config.triggers:
                if isinstance(trigger, EventTrigger):
                    listening = by_pattern.setdefault(trigger.event, [])
                    if function not in listening:
                        listening.append(function)
        # replace whole maps, the version last: no other thread may see half of the functions
        self.by_id = {function.id: function for function in found}
        self.by_slug = {function.slug: function for function in found}
        self.by_pattern = by_pattern
        self.version = version

    def _read(self, row: RowMapping) -> Function | None:
        """Read a function; None, with a log line, for one that this version cannot read.

        Raising would keep events from all other functions.
        """
        try:
            found = function_of(row)
        except Unreadable as error:
            revision = (row["version"], row["limits_revision"])
            if self.unreadable.get(row["id"]) != revision:
                self.unreadable[row["id"]] = revision
                observe.event("function.unreadable", level=40, exc_info=error, function=row["slug"])
            return None
        self.unreadable.pop(row["id"], None)
        return found

    def get(self, tx: Connection, function_id: str, revision: Revision) -> Function:
        """Find the function of a run, archived or not, at the revision its row has now.

        Raises Unreadable.
        """
        known = self.by_id.get(function_id) or self.stored.get(function_id)
        if known is None or known.revision != revision:
            _refuse_uncommitted(tx)
            row = rows.function(tx, function_id)
            if row is None:
                raise Invalid(f"function {function_id} does not exist")
            known = self.stored[function_id] = function_of(row)
            self.by_id.pop(function_id, None)
            self.invalidate()
        return known

    def invalidate(self) -> None:
        """Read the functions again at the next refresh()."""
        self.version = -1

    def known(self, function_id: str) -> Function | None:
        """Find a function without the database; None when this process has not read it yet."""
        return self.by_id.get(function_id) or self.stored.get(function_id)

    def find(self, tx: Connection, function_id: str) -> Function | None:
        """Find a function, archived or not; None when it has been deleted.

        Call it after refresh(). Raises Unreadable.
        """
        known = self.by_id.get(function_id)
        if known is None:
            _refuse_uncommitted(tx)
        if known is None and (row := rows.function(tx, function_id)) is not None:
            known = self.stored[function_id] = function_of(row)
        return known

    def slug_of(self, function_id: str) -> str | None:
        """Give the slug of a function that known() finds."""
        known = self.known(function_id)
        return None if known is None else known.slug

    def matching(self, name: str, payload: str, now: datetime) -> list[Function]:
        """List the functions that an event starts, each once (events.md §6, §7)."""
        patterns = [pattern for pattern in names.patterns(name) if pattern in self.by_pattern]
        if not patterns:
            return []
        candidates: dict[str, Function] = {}
        for pattern in patterns:
            for function in self.by_pattern[pattern]:
                candidates.setdefault(function.id, function)
        event: list[JsonObject] = []  # parsed once, and only when an expression asks for it
        return [
            function
            for function in candidates.values()
            if self._triggered(function, patterns, payload, event, now)
        ]

    def starts(self, function: Function, name: str, payload: str, now: datetime) -> bool:
        """Say whether an event starts a function, whatever else it starts."""
        return self._triggered(function, names.patterns(name), payload, [], now)

    def _triggered(
        self,
        function: Function,
        patterns: list[str],
        payload: str,
        event: list[JsonObject],
        now: datetime,
    ) -> bool:
        for trigger in function.config.triggers:
            if not isinstance(trigger, EventTrigger) or trigger.event not in patterns:
                continue
            if not trigger.expression:
                return True
            try:
                if not event:
                    event.append(canonical.loads(payload))
                if cel.matches(trigger.expression, {"event": event[0]}, now):
                    return True
            except Invalid as error:
                observe.event(
                    "trigger.invalid", level=30, function=function.slug, error=error.message
                )
        return False


def _refuse_uncommitted(tx: Connection) -> None:
    """Raise for a bug of ours: the cache would give all of the process uncommitted functions."""
    if rows.is_uncommitted(tx):
        raise RuntimeError("a transaction that changes functions must not read the catalogue")


def function_of(row: RowMapping) -> Function:
    """Make a function from its row. Raises Unreadable."""
    limits = row["limits"]
    try:
        config = config_from_json(row["config"])
        overridden = limits and overrides.applied(config, overrides.from_json(limits))
        keys = search_keys.from_json(row["search_keys"])
    except (Invalid, ValueError, TypeError, KeyError, AttributeError) as error:
        raise Unreadable(f"the function {row['slug']} cannot be read here") from error
    return Function(
        id=row["id"],
        app_id=row["app_id"],
        app_name=row["app_name"],
        slug=row["slug"],
        name=row["name"],
        url=row["url"],
        version=row["version"],
        config=config,
        paused=row["paused"],
        overridden=overridden,
        until=row["limits_until"],
        limits_revision=row["limits_revision"],
        search_keys=keys,
    )
