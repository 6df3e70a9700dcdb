"""`transaction`: a step whose code runs in a transaction of the app's database."""

import inspect
import json
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

import inngest

from .. import internals
from ..databases.choose import choose
from ..databases.database import Database, Transaction
from . import results, sweeping
from .once import run_once
from .table import Key

T = TypeVar("T")


@overload
def transaction(
    ctx: inngest.ContextSync,
    step_id: str,
    database: object,
    fn: Callable[..., T],
    *args: object,
    output_type: object = internals.EmptySentinel,
) -> T: ...


@overload
def transaction(
    ctx: inngest.Context,
    step_id: str,
    database: object,
    fn: Callable[..., Awaitable[T]] | Callable[..., T],
    *args: object,
    output_type: object = internals.EmptySentinel,
) -> Awaitable[T]: ...


def transaction(
    ctx: internals.AnyContext,
    step_id: str,
    database: object,
    fn: Callable[..., object],
    *args: object,
    output_type: object = internals.EmptySentinel,
) -> object:
    """Run a step whose writes to a database happen once, however often the step is tried.

    `database` is an engine, a session or a sessionmaker of SQLAlchemy, blocking or async, or the
    name of a Django database. `fn` is called with the connection or session, none with Django, and
    then `args`; the step's result is committed with its writes. A later attempt, or another one at
    the same time, gets that result and does not call `fn` again. `fn` must not commit. If it
    raises, all is rolled back, and the step fails as others do.

    In an async function it must be awaited. An async engine or session needs an async `fn`, any
    other a plain one, which is then called in a thread. `output_type` is that of `ctx.step.run`.

    Raises TypeError or ValueError for arguments that cannot be, TransactionError if the table is
    missing, NotJson (not tried again) for a result that is not.
    """
    if not isinstance(step_id, str) or not step_id:
        raise ValueError(f"step_id: must be text, and not empty, but it is {step_id!r}")
    if not callable(fn):
        raise TypeError(f"fn: must be a function, not {type(fn).__name__}")
    chosen = choose(database, "database")
    _check_style(chosen, fn, ctx)
    client = internals.client_of(ctx)

    def body(opened: Transaction) -> str:
        found = fn(*opened.handles, *args)
        if chosen.is_async:
            found = chosen.wait(_awaitable(found))
        elif inspect.isawaitable(found):
            raise TypeError("fn: must not be async for a database that is not")
        return results.dumps(client._serialize(found, output_type), step_id)

    def work(key: Key) -> object:
        found = run_once(chosen, key, step_id, body)
        sweeping.now_and_then(chosen, client)
        return json.loads(found)

    if isinstance(ctx, inngest.ContextSync):
        key = _key(ctx, step_id)
        found = ctx.step.run(step_id, work, key)
        return client._deserialize(found, output_type)
    return _async(ctx, step_id, chosen, work, output_type)


async def _async(
    ctx: inngest.Context,
    step_id: str,
    database: Database,
    work: Callable[[Key], object],
    output_type: object,
) -> object:
    key = _key(ctx, step_id)

    async def handler() -> object:
        return await database.run(lambda: work(key))

    found = await ctx.step.run(step_id, handler)
    return internals.client_of(ctx)._deserialize(found, output_type)


def _key(ctx: internals.AnyContext, step_id: str) -> Key:
    return Key(ctx.run_id, internals.hash_of_next(ctx, step_id))


def _check_style(database: Database, fn: Callable[..., object], ctx: internals.AnyContext) -> None:
    if database.is_async and isinstance(ctx, inngest.ContextSync):
        raise TypeError("database: an async engine or session needs an async function")
    if not database.is_async and inspect.iscoroutinefunction(fn):
        raise TypeError("fn: must not be async for a database that is not")


def _awaitable(found: object) -> Awaitable[object]:
    if not inspect.isawaitable(found):
        raise TypeError("fn: must be async for an async engine or session")
    return found
