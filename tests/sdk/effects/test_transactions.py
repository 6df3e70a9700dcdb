"""`transaction` with the SDK: repeated ids, errors, two executions at once, and bad input."""

import threading
from collections.abc import Callable
from typing import Any

import inngest
import pydantic
import pytest
import sqlalchemy
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.orm import Session, sessionmaker

from inngest_py.sdk import transactions

from .sdk_calls import App, Reply


def put(connection: Connection, number: int = 1) -> int:
    connection.execute(text("INSERT INTO effects (number) VALUES (:n)"), {"n": number})
    return number


def effects(engine: Engine) -> list[int]:
    with engine.connect() as connection:
        return [row[0] for row in connection.execute(text("SELECT number FROM effects"))]


def app(database: object, body: Callable[..., Any] = put, *args: object, **options: Any) -> App:
    def go(ctx: inngest.ContextSync) -> Any:
        return transactions.transaction(ctx, "put", database, body, *args, **options)

    return App(go)


def error(reply: Reply) -> tuple[str, str]:
    found = reply.body if isinstance(reply.body, dict) else reply.step["error"]
    return found["name"], found["message"]


def test_another_attempt_gets_the_result(engine: Engine) -> None:
    made = app(engine, put, 7)
    assert [made.call("run", attempt).result for attempt in (0, 1, 2)] == [7, 7, 7]
    assert made.call("another run").result == 7
    assert effects(engine) == [7, 7]


def test_ids_that_are_used_again_are_steps_of_their_own(engine: Engine) -> None:
    def go(ctx: inngest.ContextSync) -> Any:
        return [transactions.transaction(ctx, "put", engine, put, n) for n in (1, 2)]

    made = App(go)
    first = made.call("run").step
    memo = {first["id"]: {"data": first["data"]}}
    second = made.call("run", steps=memo)
    assert (second.step["userland"], second.result) == ({"id": "put", "index": 1}, 2)
    assert made.call("run", 1, steps=memo).result == 2
    memo[second.step["id"]] = {"data": 2}
    assert made.call("run", steps=memo).body == [1, 2]
    assert effects(engine) == [1, 2]


def test_body_that_raises_is_rolled_back_and_runs_again(engine: Engine) -> None:
    calls: list[int] = []

    def body(connection: Connection) -> str:
        put(connection)
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("not yet")
        return "done"

    made = app(engine, body)
    assert error(made.call("run")) == ("RuntimeError", "not yet")
    assert effects(engine) == []
    assert made.call("run", 1).result == "done"
    assert effects(engine) == [1]


class Paid(pydantic.BaseModel):
    amount: int


def test_output_type_is_the_sdk_s(engine: Engine) -> None:
    seen: list[object] = []

    def pay(_connection: Connection) -> Paid:
        return Paid(amount=3)

    def go(ctx: inngest.ContextSync) -> None:
        seen.append(transactions.transaction(ctx, "put", engine, pay, output_type=Paid))

    made = App(
        go,
        inngest.Inngest(
            app_id="tests", is_production=False, serializer=inngest.PydanticSerializer()
        ),
    )
    results = [made.call("run", attempt).step for attempt in (0, 1)]
    assert [found["data"] for found in results] == [{"amount": 3}] * 2
    made.call("run", steps={results[0]["id"]: {"data": {"amount": 3}}})
    assert seen == [Paid(amount=3)]


@pytest.mark.parametrize("first_ends", ["well", "badly"])
def test_two_executions_at_once(engine: Engine, first_ends: str) -> None:
    levels = ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]
    for level in ["SERIALIZABLE"] if engine.name == "sqlite" else levels:
        isolated = engine.execution_options(isolation_level=level)
        calls, first, second = _at_once(isolated, level, fail_first=first_ends == "badly")
        assert second.result == "call 0", level
        if first_ends == "well":
            assert (calls, first.result) == (["call 0"], "call 0"), level
        else:
            assert calls == ["call 0", "call 1"], level
            assert error(first) == ("RuntimeError", "no"), level
        assert effects(engine) == [1], level
        with engine.begin() as connection:
            connection.execute(text("DELETE FROM effects"))


def _at_once(engine: Engine, run_id: str, *, fail_first: bool) -> tuple[list[str], Reply, Reply]:
    """Call a step twice: the second call inserts its key while the first one's body runs."""
    in_body, second_waits = threading.Event(), threading.Event()
    calls: list[str] = []

    def body(connection: Connection) -> str:
        calls.append(threading.current_thread().name)
        put(connection)
        in_body.set()
        assert second_waits.wait(20)
        if len(calls) == 1 and fail_first:
            raise RuntimeError("no")
        return calls[0]

    def inserts(*_args: object) -> None:
        if in_body.is_set():
            second_waits.set()

    event.listen(engine, "before_cursor_execute", inserts)
    made, replies = app(engine, body), {}

    def call(attempt: int) -> None:
        replies[attempt] = made.call(run_id, attempt)

    threads = [threading.Thread(target=call, args=(n,), name=f"call {n}") for n in (0, 1)]
    threads[0].start()
    assert in_body.wait(20)
    threads[1].start()
    for thread in threads:
        thread.join(30)
    return calls, replies[0], replies[1]


def test_session_keeps_orm_writes(engine: Engine) -> None:
    metadata = sqlalchemy.MetaData()
    table = sqlalchemy.Table(
        "people", metadata, sqlalchemy.Column("id", sqlalchemy.Integer, primary_key=True)
    )
    metadata.create_all(engine)

    def body(session: Session) -> int:
        with session.begin_nested():
            session.execute(table.insert().values(id=5))
        return session.scalar(sqlalchemy.select(sqlalchemy.func.count()).select_from(table)) or 0

    assert app(sessionmaker(engine), body).call("run").result == 1
    session = Session(engine)
    assert app(session, body).call("run", 1).result == 1
    assert not session.in_transaction()


def _commit(connection: Connection) -> None:
    put(connection)
    connection.commit()


def _roll_back(connection: Connection) -> None:
    put(connection)
    connection.rollback()


FORBIDDEN: list[tuple[Any, list[str]]] = [
    (_commit, ["must not commit"]),
    (_roll_back, ["must not roll it back"]),
    (lambda _: {"a": [1, {"b": {2}}]}, ['step "put": result.a[1].b is a set']),
    (lambda _: float("nan"), ["result is nan"]),
    (lambda _: {(1, 2): 3}, ["result has the key (1, 2)"]),
]


@pytest.mark.parametrize("style", ["engine", "session", "sessionmaker"])
def test_what_the_code_must_not_do(engine: Engine, style: str) -> None:
    kinds: dict[str, Any] = {
        "engine": engine,
        "session": Session(engine),
        "sessionmaker": sessionmaker(engine),
    }
    database = kinds[style]
    for body, told in FORBIDDEN:
        _, message = error(app(database, body).call("run"))
        assert [part for part in told if part not in message] == [], message
        assert effects(engine) == []
    assert app(database, lambda _: "good").call("run", 1).result == "good"


def test_open_transaction_is_refused(engine: Engine) -> None:
    session = Session(engine)
    session.execute(text("SELECT 1"))
    assert error(app(session).call("run"))[1].startswith("database: the session has an open")
    with engine.connect() as connection, connection.begin():
        joined = app(Session(connection))
        assert error(joined.call("run"))[1].startswith("database: the session has an open")
    autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
    assert "AUTOCOMMIT has no transactions" in error(app(autocommit).call("run"))[1]
    assert effects(engine) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"step_id": ""}, "step_id: must be text"),
        ({"database": "sqlite:///x"}, "database: a URL is no database here"),
        ({"database": 3}, "database: must be an engine, a session or a sessionmaker"),
        ({"fn": "put"}, "fn: must be a function"),
    ],
)
def test_arguments_are_checked(engine: Engine, change: dict[str, Any], told: str) -> None:
    given = {"step_id": "put", "database": engine, "fn": put} | change

    def go(ctx: inngest.ContextSync) -> Any:
        return transactions.transaction(ctx, **given)

    assert told in error(App(go).call("run"))[1]


def test_async_code_for_a_blocking_engine_is_refused(engine: Engine) -> None:
    async def body(_connection: Connection) -> None:
        """Do nothing."""

    assert "fn: must not be async" in error(app(engine, body).call("run"))[1]


def test_table_that_is_missing(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE inngest_transactions"))
    name, message = error(app(engine).call("run"))
    assert name == "TransactionError"
    assert (
        "no table inngest_transactions: call inngest_py.sdk.transactions.create_table()" in message
    )
    transactions.create_table(engine)
    assert app(engine).call("run", 1).result == 1
    assert effects(engine) == [1]


def test_mark_without_a_result_is_told(engine: Engine) -> None:
    made = app(engine)
    made.call("run")
    with engine.begin() as connection:
        connection.execute(text("UPDATE inngest_transactions SET result = NULL"))
    assert "was committed before it had returned" in error(made.call("run", 1))[1]
    assert effects(engine) == [1]


def test_sql_of_the_table_makes_the_same(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE inngest_transactions"))
        for statement in transactions.table_sql(engine.name).split(";"):
            if statement.strip():
                connection.execute(text(statement))
    assert app(engine).call("run").result == 1
    transactions.create_table(engine)
    with pytest.raises(ValueError, match="dialect: must be one of postgresql, mysql, sqlite"):
        transactions.table_sql("oracle")
