"""`transaction` in async functions: async and blocking databases, and tasks that are cancelled."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import inngest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.orm import Session

from inngest_py.sdk import transactions

from .killing import async_engine_of
from .sdk_calls import App
from .test_transactions import error


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[AsyncEngine]:
    engine = async_engine_of(url)
    await transactions.create_table(engine)
    await transactions.create_table(engine)
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE effects (number BIGINT)"))
    yield engine
    await engine.dispose()


async def put(connection: AsyncConnection, number: int) -> int:
    await connection.execute(text("INSERT INTO effects (number) VALUES (:n)"), {"n": number})
    return number


async def effects(engine: AsyncEngine) -> list[int]:
    async with engine.connect() as connection:
        return [row[0] for row in await connection.execute(text("SELECT number FROM effects"))]


def app(database: object, body: Callable[..., Any], *args: object) -> App:
    async def go(ctx: inngest.Context) -> Any:
        return await transactions.transaction(ctx, "put", database, body, *args)

    return App(go)


def test_errors_and_wrong_styles(url: str) -> None:
    async def fails(connection: AsyncConnection) -> None:
        await put(connection, 1)
        raise RuntimeError("no")

    async def commits(connection: AsyncConnection) -> None:
        await put(connection, 2)
        await connection.commit()

    async def go() -> None:
        async with opened(url) as engine:
            told = [error(await app(engine, body).call_async("run")) for body in (fails, commits)]
            assert told[0] == ("RuntimeError", "no")
            assert "must not commit" in told[1][1]
            reply = await app(engine, lambda _: 3).call_async("run")
            assert "fn: must be async for an async engine" in error(reply)[1]
            assert await effects(engine) == []
            assert (await app(engine, put, 4).call_async("run")).result == 4
            assert (await app(engine, put, 5).call_async("run", 1)).result == 4
            assert await effects(engine) == [4]
            blocking = App(lambda ctx: transactions.transaction(ctx, "put", engine, put, 6))
            assert "needs an async function" in error(blocking.call("run"))[1]

    asyncio.run(go())


def test_cancelled_task_leaves_nothing(url: str) -> None:
    async def go() -> None:
        written = asyncio.Event()

        async def hangs(connection: AsyncConnection) -> None:
            await put(connection, 1)
            written.set()
            await asyncio.Event().wait()

        async with opened(url) as engine:
            task = asyncio.create_task(app(engine, hangs).call_async("run"))
            await asyncio.wait_for(written.wait(), 20)
            task.cancel()
            await asyncio.wait([task], timeout=20)
            assert task.done()
            assert (await app(engine, put, 2).call_async("run", 1)).result == 2
            assert await effects(engine) == [2]

    asyncio.run(go())


def test_second_execution_gets_the_first_ones_result(url: str) -> None:
    async def go() -> None:
        written, second_waits, calls = asyncio.Event(), asyncio.Event(), list[int]()

        async def once(connection: AsyncConnection) -> int:
            calls.append(len(calls))
            await put(connection, calls[-1])
            written.set()
            await second_waits.wait()
            return calls[-1]

        def inserts(*_args: object) -> None:
            if written.is_set():
                second_waits.set()

        async with opened(url) as engine:
            event.listen(engine.sync_engine, "before_cursor_execute", inserts)
            made = app(engine, once)
            first = asyncio.create_task(made.call_async("run"))
            await written.wait()
            second = await made.call_async("run", 1)
            assert ((await first).result, second.result, calls) == (0, 0, [0])
            assert await effects(engine) == [0]

    asyncio.run(asyncio.wait_for(go(), 40))


def test_blocking_engine_has_a_thread(engine: Any) -> None:
    def body(session: Session) -> str:
        session.execute(text("INSERT INTO effects (number) VALUES (1)"))
        return threading.current_thread().name

    made = app(Session(engine), body)
    found = [asyncio.run(made.call_async("run", attempt)).result for attempt in (0, 1)]
    assert found[0] != threading.current_thread().name
    assert found[0] == found[1]
