"""A transaction is cut between every two statements, and retried: its effect is there once."""

import json
import subprocess
import sys
from typing import Any

from tests.processes import ROOT

POINTS = [
    *("before INSERT", "after INSERT"),  # the key
    *("before INSERT", "after INSERT"),  # the body
    *("before UPDATE", "after UPDATE"),  # the result
    *("before COMMIT", "after COMMIT", "before the answer"),
    "",
]


def _lines(module: str, *arguments: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-W", "ignore", "-m", f"tests.sdk.effects.{module}", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return [json.loads(line) for line in done.stdout.splitlines()]


def _check(outcomes: list[dict[str, Any]], times: int = 1) -> None:
    points = [outcome["point"] for outcome in outcomes]
    # Django's connections begin with SET on MySQL, transactions of SQLite with BEGIN
    ours = [point for point in points if not point.endswith(("BEGIN", "SET"))]
    assert ours == POINTS * times
    for outcome in outcomes:
        found = outcome["found"]
        assert found["effects"] == [found["result"]], outcome


def test_effect_happens_once_with_sqlalchemy(url: str) -> None:
    styles = ["engine", "session", "async-engine", "async-session"]
    _check(_lines("transaction_kills", url, *styles), len(styles))


def test_effect_happens_once_with_django(url: str) -> None:
    *outcomes, others = _lines("django_kills", url)
    _check(outcomes)
    assert others["open"].startswith("database: 'default' has an open transaction: leave atomic()")
    assert others["unknown"] == "database: DATABASES has no 'replica': it has default"
    assert others["left"] == []
    first, second = others["async"]
    assert first == second
    assert others["effects"] == [first]
    assert others["outside"].startswith("session: 'default' has no open transaction")
    assert (others["sent"], others["waiting"]) == ([2, 3], 0)
    assert others["connections"] == 1  # of the relay: its thread keeps it
    assert others["missing"].startswith("the database has no table inngest_transactions")
    assert others["migrated"]
