"""Override a function's limits without a deploy: set an override, undo it, let it end.

One transaction writes the row and renews the catalogue's version, so all later claims use the new
limits. Runs that wait already follow them too (flow/limit_changes.py).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from sqlalchemy import Connection, RowMapping

from ... import observe
from ...domain.errors import Invalid, NotFound
from ...domain.functions import overrides as rules
from ...domain.functions.function_config import FunctionConfig
from ...domain.values.json_types import JsonObject
from ...storage.catalog import functions as function_rows
from ...storage.catalog import overrides as rows
from ..flow import limit_changes, limits
from ..runtime import audit
from ..runtime.audit import Actor
from ..runtime.catalog import Function, function_of
from ..runtime.context import Context
from .pause_function import find


class ShownLimits(TypedDict):
    """A function's limits as JSON objects, with times as datetime."""

    configured: JsonObject
    override: JsonObject | None
    effective: JsonObject


@dataclass(frozen=True, slots=True)
class FunctionLimits:
    """A function's limits: as registered, their override if there is one, and those in force."""

    function: Function
    configured: FunctionConfig
    override: rules.Override | None
    until: datetime | None
    set_at: datetime | None
    set_by: str | None
    effective: FunctionConfig

    def shown(self) -> ShownLimits:
        """Return the limits as a dict for people, with times as datetime."""
        override = None
        if self.override is not None:
            override = rules.as_override(self.override) | {
                "expires_at": self.until,
                "set_at": self.set_at,
                "set_by": self.set_by,
            }
        return {
            "configured": rules.as_override(self.configured),
            "override": override,
            "effective": rules.as_override(self.effective),
        }


def of_row(row: RowMapping, now: datetime) -> FunctionLimits:
    """Read a function's limits from its row; an override that has ended counts as none."""
    function = function_of(row)
    effective = limits.effective(function, now)
    if effective is function.config:
        return FunctionLimits(function, function.config, None, None, None, None, effective)
    return FunctionLimits(
        function,
        function.config,
        rules.from_json(row["limits"]),
        row["limits_until"],
        row["limits_at"],
        row["limits_by"],
        effective,
    )


def show(ctx: Context, function: str) -> FunctionLimits:
    """Read the limits of a function, given by id or slug. Raises NotFound."""
    with ctx.db.reading() as tx:
        row = function_rows.function(tx, find(tx, function))
    if row is None:
        raise NotFound(f"function {function[:255]} does not exist")
    return of_row(row, ctx.now())


def put(ctx: Context, function: str, body: object, by: Actor | None = None) -> FunctionLimits:
    """Override limits of a function, given by id or slug, in place of any other override.

    Raises NotFound, and Invalid for a body that overrides.parse() refuses. An operator's act is
    written to the audit log with it.
    """
    now = ctx.now()
    wanted = rules.parse(body, now)

    def write(tx: Connection, function_id: str) -> bool:
        _refuse_idempotency(tx, function_id, wanted.override)
        text = wanted.override.to_json()
        rows.put(tx, function_id, text, wanted.until, wanted.by, now)
        audit.note(tx, by, now, "limits.override", _slug(tx, function_id), text)
        return True

    _change(ctx, function, write)
    observe.event("limits.overridden", function=function, rules=",".join(wanted.override.rules))
    return show(ctx, function)


def _refuse_idempotency(tx: Connection, function_id: str, override: rules.Override) -> None:
    row = function_rows.function(tx, function_id)
    rate = None if row is None else function_of(row).config.rate_limit
    if rate is not None and rate.idempotency and "rateLimit" in override.rules:
        raise Invalid(
            "rateLimit cannot be overridden here: the function's idempotency is a rate limit, and"
            " an override would make it forget the keys of 24 hours",
            field="rateLimit",
        )


def remove(ctx: Context, function: str, by: Actor | None = None) -> FunctionLimits:
    """Undo a function's override, if it has one. Raises NotFound."""

    def write(tx: Connection, function_id: str) -> bool:
        rows.remove(tx, function_id)
        audit.note(tx, by, ctx.now(), "limits.restore", _slug(tx, function_id))
        return True

    _change(ctx, function, write)
    observe.event("limits.restored", function=function)
    return show(ctx, function)


def expire(ctx: Context) -> bool:
    """Delete overrides that have ended, and let in runs that the limits now allow."""
    with ctx.db.reading() as tx:
        first, now = rows.first_end(tx), ctx.now()
        found = rows.expired(tx, now) if first is not None and first <= now else []

    def write(tx: Connection, function_id: str) -> bool:
        if not rows.is_expired(tx, function_id, ctx.now()):
            return False  # another worker was faster, or the override has been set again
        rows.remove(tx, function_id)
        return True

    for function_id in found:
        try:
            _change(ctx, function_id, write)
        except NotFound:  # deleted meanwhile
            continue
        observe.event("limits.expired", function_id=function_id)
    return False


def _change(ctx: Context, function: str, write: Callable[[Connection, str], bool]) -> None:
    """Write a function's row, and have its waiting lines follow the new limits."""

    def act(tx: Connection) -> str | None:
        function_id, now = find(tx, function), ctx.now()
        held = limit_changes.lock(tx, [function_id], now)
        if not write(tx, function_id):
            return None
        limit_changes.rescale(tx, held, now)
        function_rows.renew_catalog_version(tx)
        return function_id

    function_id = ctx.committer.run_once(act)
    if function_id is not None:
        limit_changes.let_in_waiting(ctx, [function_id])


def _slug(tx: Connection, function_id: str) -> str:
    """Name the function as the audit log does."""
    return limit_changes.config_with_override(tx, function_id).slug
