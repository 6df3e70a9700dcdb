"""Log lines: their form, the ids in them, and that the documents name every event."""

import ast
import io
import json
import logging
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inngest_py import logs, observe

ROOT = Path(__file__).resolve().parents[2]
NASTY = 'a "b"\nc=\x1b[31m \ud800 {"x": 1}'


@pytest.fixture
def lines() -> Iterator[tuple[io.StringIO, logging.Handler]]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    log = logging.getLogger("inngest_py")
    before = log.level
    log.addHandler(handler)
    log.setLevel("DEBUG")
    yield stream, handler
    log.removeHandler(handler)
    log.setLevel(before)


Lines = tuple[io.StringIO, logging.Handler]


def test_an_event_is_one_line_with_any_fields(lines: Lines) -> None:
    stream, handler = lines
    handler.setFormatter(logs.People())
    observe.event("a.b", item_id="i", error=NASTY)
    handler.setFormatter(logs.Json())
    observe.event("a.b", level=30, time="mine", error=NASTY)
    people, machine = stream.getvalue().splitlines()
    assert people.split(" ", 1)[1] == f"a.b item_id=i error={json.dumps(NASTY)}"
    record = json.loads(machine)
    assert (record["event"], record["level"], record["error"]) == ("a.b", "warning", NASTY)
    assert record["time"] != "mine"


def test_a_traceback_stays_with_its_line(lines: Lines) -> None:
    stream, handler = lines
    for formatter in (logs.Json(), logs.People()):
        handler.setFormatter(formatter)
        try:
            raise ValueError("no")
        except ValueError:
            logging.getLogger("inngest_py").exception("failed\nbadly")
    machine, people, *trace = stream.getvalue().splitlines()
    assert "ValueError: no" in json.loads(machine)["exception"]
    assert people.endswith("error: failed badly")
    assert all(line.startswith("    ") for line in trace)


def test_lines_of_a_task_have_its_ids(lines: Lines) -> None:
    stream, handler = lines
    handler.setFormatter(logs.Json())
    with observe.bound(run_id="r", item_id="i", function="app-fn"):
        observe.event("a.own", item_id="j")
        logging.getLogger("inngest_py.other").warning("words")
        observe.event("a.others", run_id="s")  # a worker may write for others
        thread = threading.Thread(target=observe.event, args=("a.thread",))
        thread.start()
        thread.join()
    observe.event("a.after")
    found = [
        {name: line.get(name) for name in ("run_id", "item_id", "function")}
        for line in map(json.loads, stream.getvalue().splitlines())
    ]
    none: dict[str, Any] = {"run_id": None, "item_id": None, "function": None}
    ids = {"run_id": "r", "item_id": "i", "function": "app-fn"}
    assert found == [ids | {"item_id": "j"}, ids, none | {"run_id": "s"}, none, none]


@pytest.mark.parametrize(("tty", "no_color", "coloured"), [(1, "", 1), (1, "1", 0), (0, "", 0)])
def test_colours_are_for_terminals(
    tty: bool, no_color: str, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: tty)
    record = logging.makeLogRecord({"msg": "a.b", "levelno": 30, "levelname": "WARNING"})
    assert ("\x1b[" in logs.formatter(stream, as_json=False).format(record)) == bool(coloured)
    assert "\x1b[" not in logs.formatter(stream, as_json=True).format(record)


def told_by_the_code() -> set[str]:
    """Find the names of all events; each is a literal."""
    found = {"listener.failed"}  # logged by observe itself
    for file in (ROOT / "inngest_py").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "observe.event":
                name = node.args[0]
                literal = not any(isinstance(one, ast.JoinedStr) for one in ast.walk(name))
                names = {str(one.value) for one in ast.walk(name) if isinstance(one, ast.Constant)}
                assert literal and names, f"{file}:{node.lineno}"
                found |= names
    return found


def test_the_documents_name_every_event_and_no_other() -> None:
    text = (ROOT / "docs" / "operating.md").read_text()
    table = text.split("### Logs", 1)[1].split("\n### ", 1)[0]
    rows = [line.split("|")[1:4] for line in table.splitlines() if line.startswith("| `")]
    documented = [name for names, _, _ in rows for name in re.findall(r"`([\w.]+)`", names)]
    assert sorted(documented) == sorted(set(documented))
    assert set(documented) == told_by_the_code()
