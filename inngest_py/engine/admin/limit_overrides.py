"""Overriding a function's limits without a deploy: setting, undoing, and what follows at the end.

The row is written and the catalogue's version raised in one transaction, so whoever claims or
schedules after it goes by the new limits; what waits already is timed anew (flow/changing.py).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from ... import observe
from ...domain.errors import Invalid, NotFound
from ...domain.functions import overrides as rules
from ...domain.functions.functions import FunctionConfig
from ...storage.catalog import functions as function_rows
from ...storage.catalog import overrides as rows
from ..flow import changing, limits
from ..runtime import audit
from ..runtime.audit import Actor
from ..runtime.catalog import Function, function_of
from ..runtime.context import Context
from .pause_function import find


@dataclass(frozen=True, slots=True)
class Limits:
    """A function's limits: as registered, what overrides them now (None: nothing), and in force."""

    function: Function
    configured: FunctionConfig
    override: rules.Override | None
    until: datetime | None
    set_at: datetime | None
    set_by: str | None
    effective: FunctionConfig

    def shown(self) -> dict[str, Any]:
        """Show them with plain keys and times as datetime."""
        override = None
        if self.override is not None:
            override = rules.shown(self.override) | {
                "expires_at": self.until,
                "set_at": self.set_at,
                "set_by": self.set_by,
            }
        return {
            "configured": rules.shown(self.configured),
            "override": override,
            "effective": rules.shown(self.effective),
        }


def of_row(row: Any, now: datetime) -> Limits:
    """Read a function's limits from its row; an override that has ended counts as none."""
    function = function_of(row)
    effective = limits.effective(function, now)
    if effective is function.config:
        return Limits(function, function.config, None, None, None, None, effective)
    return Limits(
        function,
        function.config,
        rules.from_json(row["limits"]),
        row["limits_until"],
        row["limits_at"],
        row["limits_by"],
        effective,
    )


def show(ctx: Context, function: str) -> Limits:
    """Read the limits of a function, given by id or slug. Raises NotFound."""
    with ctx.db.reading() as tx:
        row = function_rows.function(tx, find(tx, function))
    if row is None:
        raise NotFound(f"function {function[:255]} does not exist")
    return of_row(row, ctx.now())


def put(ctx: Context, function: str, body: object, by: Actor | None = None) -> Limits:
    """Override limits of a function, given by id or slug, in place of any other override.

    Raises NotFound, and Invalid for a body that overrides.parse() refuses. An operator's act is
    noted with it.
    """
    now = ctx.now()
    wanted = rules.parse(body, now)

    def write(tx: Connection, function_id: str) -> bool:
        _keep_idempotency(tx, function_id, wanted.override)
        text = wanted.override.to_json()
        rows.put(tx, function_id, text, wanted.until, wanted.by, now)
        audit.note(tx, by, now, "limits.override", _slug(tx, function_id), text)
        return True

    _change(ctx, function, write)
    observe.event("limits.overridden", function=function, rules=",".join(wanted.override.rules))
    return show(ctx, function)


def _keep_idempotency(tx: Connection, function_id: str, override: rules.Override) -> None:
    row = function_rows.function(tx, function_id)
    rate = None if row is None else function_of(row).config.rate_limit
    if rate is not None and rate.idempotency and "rateLimit" in override.rules:
        raise Invalid(
            "rateLimit cannot be overridden here: the function's idempotency is one, and would"
            " forget the keys of 24 hours",
            field="rateLimit",
        )


def remove(ctx: Context, function: str, by: Actor | None = None) -> Limits:
    """Undo a function's override, if it has one. Raises NotFound."""

    def write(tx: Connection, function_id: str) -> bool:
        rows.remove(tx, function_id)
        audit.note(tx, by, ctx.now(), "limits.restore", _slug(tx, function_id))
        return True

    _change(ctx, function, write)
    observe.event("limits.restored", function=function)
    return show(ctx, function)


def expire(ctx: Context) -> bool:
    """Clear overrides that have ended, and let go what may go by the limits after them."""
    with ctx.db.reading() as tx:
        first, now = rows.first_end(tx), ctx.now()
        found = rows.expired(tx, now) if first is not None and first <= now else []

    def write(tx: Connection, function_id: str) -> bool:
        if not rows.is_expired(tx, function_id, ctx.now()):
            return False  # another worker was faster, or it has been set again
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
    """Write a function's row and let its lines be looked at by the limits of then."""

    def act(tx: Connection) -> str | None:
        function_id, now = find(tx, function), ctx.now()
        held = changing.lock(tx, [function_id], now)
        if not write(tx, function_id):
            return None
        changing.settle(tx, held, now)
        function_rows.renew_catalog_version(tx)
        return function_id

    function_id = ctx.committer.run_once(act)
    if function_id is not None:
        changing.let_go(ctx, [function_id])


def _slug(tx: Connection, function_id: str) -> str:
    """Name the function as audits do."""
    return changing.whole(tx, function_id).slug
