"""Transactions with a real server: an app is killed in the middle, and old results are swept."""

import asyncio
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import inngest
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from inngest_py.sdk import transactions
from inngest_py.sdk.transactions import sweeping
from tests.processes import Server, wait_until
from tests.sdk.app_process import SdkApp
from tests.sdk.client import Api

from .sdk_calls import App

BEFORE_COMMIT, AFTER_COMMIT = 7, 8  # points of a transaction of three statements


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    options = ("--db", str(folder / "server.db"), "--no-discovery", "--no-poll")
    with Server("dev", *options, "--retry-interval", "1", log=folder / "server.log") as made:
        yield made.start()


@pytest.mark.parametrize("name", ["plain", "checkpointed"])
@pytest.mark.parametrize("point", [BEFORE_COMMIT, AFTER_COMMIT], ids=["before", "after"])
def test_killed_app(server: Server, tmp_path: Path, name: str, point: int) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/app.db")
    transactions.create_table(engine)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE effects (number BIGINT)"))
    api, database = Api(server.url), str(tmp_path / "app.db")
    with SdkApp(
        "python-effects", server.url, tmp_path, {"DATABASE": database, "KILL_AT": str(point)}
    ) as app:
        assert app.start().register().status_code == 200, app.log_tail()
        event = api.send(f"python-effects/{name}", {"amount": 5})
        resting = api.send(f"python-effects/{name}", {"amount": 7, "rest": True})
        wait_until(lambda: not app.running, 30, "the app is killed")
        app.env.pop("KILL_AT")
        app.start()
        assert api.run(event)["output"] == [{"paid": 5}, {"paid": 1}], app.log_tail()
        wait_until(lambda: effects(database) == [1, 5, 7], 40, "the effects")
    with engine.begin() as connection:
        connection.execute(text("UPDATE inngest_transactions SET seen_at = 0"))
    client = inngest.Inngest(app_id="tests", is_production=False, api_base_url=server.url)
    assert transactions.sweep(engine, client, older_than=timedelta(days=1)) == 1
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT run_id, seen_at FROM inngest_transactions"))
        [(run_id, seen_at)] = rows
    assert run_id == api.runs(resting)[0]["run_id"]
    assert seen_at > 0
    assert transactions.sweep(engine, client, older_than=timedelta(days=1)) == 0
    engine.dispose()


@pytest.mark.parametrize("style", ["blocking", "async"])
def test_transactions_sweep_by_themselves(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, style: str
) -> None:
    monkeypatch.setattr(sweeping, "_ODDS", 1.0)
    path = f"{tmp_path}/app.db"
    engine = create_engine(f"sqlite:///{path}")
    transactions.create_table(engine)
    with engine.begin() as connection:
        old = {"run": "01KB9ZP4E2WJ9T0Q5W3B7H1M6C"}  # the server does not know it
        insert = text("INSERT INTO inngest_transactions VALUES (:run, 'a', '1', 1)")
        connection.execute(insert, old)
    client = inngest.Inngest(app_id="tests", is_production=False, api_base_url=server.url)
    with_async = create_async_engine(f"sqlite+aiosqlite:///{path}", poolclass=NullPool)

    async def nothing(_connection: object) -> None:
        """Write nothing."""

    if style == "async":

        async def body(ctx: inngest.Context) -> None:
            await transactions.transaction(ctx, "put", with_async, nothing)

        assert asyncio.run(App(body, client).call_async("new")).result is None
    else:
        made = App(lambda ctx: transactions.transaction(ctx, "put", engine, str), client)
        assert made.call("new").result.startswith("<sqlalchemy")

    def left() -> list[str]:
        with engine.connect() as connection:
            rows = connection.execute(text("SELECT run_id FROM inngest_transactions"))
            return [row[0] for row in rows]

    wait_until(lambda: left() == ["new"], 20, "the old row of a run that is gone")
    wait_until(lambda: not sweeping._under_way.locked(), 20, "the sweep has ended")
    engine.dispose()


def effects(database: str) -> list[int]:
    """What the steps have written."""
    connection = sqlite3.connect(database)
    try:
        found = connection.execute("SELECT number FROM effects ORDER BY number").fetchall()
        return [row[0] for row in found]
    finally:
        connection.close()
