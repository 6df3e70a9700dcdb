"""`python -m tests.sdk.effects.transaction_kills URL STYLE…`: kill steps of real SDK requests.

The step's code writes a random number to a table and returns it.
"""

import asyncio
import random
import sys
from typing import Any

import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session, sessionmaker

from inngest_py.sdk import transactions
from inngest_py.sdk.transactions import sweeping

from .killing import Points, async_engine_of, engine_of, every_point
from .sdk_calls import App

PUT = sqlalchemy.text("INSERT INTO effects (number) VALUES (:number)")


def _target(style: str, url: str, points: Points) -> Any:
    """Make what an app passes as its database; no connection is shared with a forked child."""
    if style.startswith("async"):
        made = async_engine_of(url)
        points.watch(made.sync_engine)
        kinds: dict[str, Any] = {
            "async-engine": lambda: made,
            "async-session": lambda: AsyncSession(made),
            "async-sessionmaker": lambda: async_sessionmaker(made),
        }
        return kinds[style]()
    engine = engine_of(url)
    points.watch(engine)
    blocking: dict[str, Any] = {
        "engine": lambda: engine,
        "session": lambda: Session(engine),
        "sessionmaker": lambda: sessionmaker(engine),
    }
    return blocking[style]()


def _app(style: str, target: Any, points: Points) -> App:
    def put(handle: Any) -> dict[str, int]:
        number = random.getrandbits(30)
        handle.execute(PUT, {"number": number})
        return {"number": number}

    async def put_async(handle: Any) -> dict[str, int]:
        number = random.getrandbits(30)
        await handle.execute(PUT, {"number": number})
        return {"number": number}

    def blocking(ctx: Any) -> Any:
        return transactions.transaction(ctx, "put", target, put)

    async def with_async(ctx: Any) -> Any:
        return await transactions.transaction(ctx, "put", target, put_async)

    return App(with_async if style.startswith("async") else blocking)


def kill(url: str, style: str) -> None:
    """Kill one style at each of its points."""
    plain = engine_of(url)
    points = Points()
    app = _app(style, _target(style, url, points), points)

    def reset() -> None:
        with plain.begin() as connection:
            connection.execute(sqlalchemy.text("DELETE FROM effects"))
            connection.execute(sqlalchemy.text("DELETE FROM inngest_transactions"))

    def call(attempt: int = 0) -> Any:
        if style.startswith("async"):
            reply = asyncio.run(app.call_async("run", attempt))
        else:
            reply = app.call("run", attempt)
        points.passed("before the answer")
        return reply.result["number"]

    def retry() -> Any:
        result = call(1)
        with plain.connect() as connection:
            rows = connection.execute(sqlalchemy.text("SELECT number FROM effects"))
            return {"style": style, "result": result, "effects": [row[0] for row in rows]}

    every_point(points, reset, call, retry)


if __name__ == "__main__":
    sweeping._ODDS = 0.0  # it would add points
    database = engine_of(sys.argv[1])
    transactions.create_table(database)
    with database.begin() as opened:
        opened.execute(sqlalchemy.text("CREATE TABLE effects (number BIGINT)"))
    for wanted in sys.argv[2:]:
        kill(sys.argv[1], wanted)
