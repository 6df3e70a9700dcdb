"""Deferred functions: asked for by a run, and started when it has ended."""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import TypeVar, overload

import inngest

from .. import internals, json_values
from ..internals import AnyContext, Note, Op
from .arguments import check_id, check_name, noted

_EVENT = "inngest/deferred.schedule"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Deferred:
    """A deferred function that a run has asked for."""

    id: str
    hash: str

    @overload
    def abort(self, ctx: inngest.ContextSync, step_id: str | None = None) -> None: ...

    @overload
    def abort(self, ctx: inngest.Context, step_id: str | None = None) -> Awaitable[None]: ...

    def abort(self, ctx: AnyContext, step_id: str | None = None) -> Awaitable[None] | None:
        """Take it back, as a step named `step_id`, or `abort:` and its id: it does not start."""
        name = f"abort:{self.id}" if step_id is None else step_id
        parsed = internals.parsed(ctx, check_id(ctx, name))
        opts: dict[str, object] = {"target_hashed_id": self.hash}
        abort = internals.info(parsed, Op.DEFER_ABORT, opts=opts)
        return noted(ctx, parsed, Note(more=(abort,)), None)


@overload
def defer(
    ctx: inngest.ContextSync,
    step_id: str,
    *,
    function: inngest.Function[T] | str,
    data: Mapping[str, object] | None = None,
) -> Deferred: ...


@overload
def defer(
    ctx: inngest.Context,
    step_id: str,
    *,
    function: inngest.Function[T] | str,
    data: Mapping[str, object] | None = None,
) -> Awaitable[Deferred]: ...


def defer(
    ctx: AnyContext,
    step_id: str,
    *,
    function: inngest.Function[T] | str,
    data: Mapping[str, object] | None = None,
) -> Deferred | Awaitable[Deferred]:
    """Start a function when this run has ended, whether it succeeds or fails.

    The function needs `deferred_trigger`; it may be that of another app, by its full id
    (`APP-FUNCTION`). Its event has `data`, with the run in `data._inngest.parent_run_id`. A run has
    20 at most. Raises ValueError or TypeError.
    """
    parsed = internals.parsed(ctx, check_id(ctx, step_id))
    slug = function.id if isinstance(function, inngest.Function) else function
    given = {} if data is None else data
    if not isinstance(given, Mapping):
        raise TypeError(f"data: give a dict, not a value of type {type(given).__name__}")
    json_values.check(dict(given), "argument data", "data")
    opts: dict[str, object] = {"fn_slug": check_name("function", slug), "input": dict(given)}
    add = internals.info(parsed, Op.DEFER_ADD, opts=opts)
    made = Deferred(step_id, parsed.hashed)
    return noted(ctx, parsed, Note(more=(add,)), made)


def deferred_trigger(client: inngest.Inngest, fn_id: str) -> inngest.TriggerEvent:
    """Make the trigger of a deferred function of this client's app.

    Give it to `create_function` with the same `fn_id`.
    """
    slug = f"{client.app_id}-{check_name('fn_id', fn_id)}"
    quoted = slug.replace("\\", "\\\\").replace("'", "\\'")
    condition = f"event.data._inngest.fn_slug == '{quoted}'"
    return inngest.TriggerEvent(event=_EVENT, expression=condition)
