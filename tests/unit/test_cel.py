"""Expressions give what the reference evaluator gives."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from inngest_py.domain import cel
from inngest_py.domain.errors import Invalid

CASES = json.loads(
    (Path(__file__).parent.parent / "vectors" / "expressions-cases.json").read_text()
)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
TYPES = {
    "bool": bool,
    "string": str,
    "int": int,
    "double": float,
    "list": list,
    "map": dict,
    "null": type(None),
    "timestamp": datetime,
}


def name(case):
    return case["id"]


@pytest.mark.parametrize("case", CASES["evaluate"], ids=name)
def test_evaluate_follows_the_reference(case):
    given, expected = (case["expression"], case["input"], NOW), case["value"]
    if "error" in expected:
        error = Invalid if expected["error"] == "compile" else cel.CelError
        with pytest.raises(error):
            cel.evaluate(*given)
    else:
        value = cel.evaluate(*given)
        kind = TYPES[expected["type"]]
        assert type(value) is kind or (kind in (list, dict) and isinstance(value, kind))
        wanted = expected["json"]
        assert value == (datetime.fromisoformat(wanted) if kind is datetime else wanted)
    assert cel.matches(*given) is (case["boolean"] is True)


@pytest.mark.parametrize("case", CASES["compile"], ids=name)
def test_check_follows_the_reference(case):
    if case["compiles"]:
        cel.check(case["expression"])
    else:
        with pytest.raises(Invalid):
            cel.check(case["expression"])


@pytest.mark.parametrize("case", CASES["restrictive_policy"], ids=name)
def test_check_restrictive_follows_the_reference(case):
    if case["allowed"]:
        cel.check_restrictive(case["expression"])
    else:
        with pytest.raises(Invalid):
            cel.check_restrictive(case["expression"])
