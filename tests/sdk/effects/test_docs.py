"""The code of docs/python.md about effects does what the page says."""

import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from inngest_py.sdk import transactions
from tests.processes import ROOT

from .receiver import Receiver
from .sdk_calls import App


def page(heading: str) -> dict[str, Any]:
    """Run the first block of Python under a heading; return what it defines."""
    written = (ROOT / "docs" / "python.md").read_text()
    section = written[written.index(f"## {heading}") :]
    found = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert found is not None
    defined: dict[str, Any] = {"__name__": "page"}
    exec(compile(found[1], "python.md", "exec"), defined)
    return defined


def test_transactions(tmp_path: Path) -> None:
    defined = page("Effects that happen once")
    engine = defined["engine"] = create_engine(f"sqlite:///{tmp_path}/shop.db")
    transactions.create_table(engine)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE accounts (owner TEXT, balance INTEGER)"))
        connection.execute(text("INSERT INTO accounts VALUES ('42', 12)"))
    made = App(defined["pay_order"]._handler)
    results = [made.call("run", attempt, data={"order": "42"}).result for attempt in (0, 1)]
    assert results == [7, 7]
    engine.dispose()


def test_outbox(tmp_path: Path) -> None:
    receiver = Receiver()
    defined = page("Events of a committed transaction")
    engine = defined["engine"] = create_engine(f"sqlite:///{tmp_path}/shop.db")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE orders (id TEXT)"))
    defined["client"]._event_api_origin = receiver.url
    defined["relay"] = defined["outbox"].Relay(engine, defined["client"])
    defined["main"]()
    with defined["relay"]:
        from tests.processes import wait_until

        wait_until(lambda: receiver.accepted, 10, "the event")
    assert [event["data"] for event in receiver.accepted] == [{"order": "42"}]
    receiver.close()
    engine.dispose()


@pytest.mark.parametrize("module", ["transactions", "outbox"])
def test_command_prints_the_sql(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    from importlib import import_module

    table = import_module(f"inngest_py.sdk.{module}.table")
    table.TABLE.main(["sql", "--dialect", "mysql"])
    assert capsys.readouterr().out == table.table_sql("mysql")
