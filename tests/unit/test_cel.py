"""Expressions give what the reference evaluator gives."""

import json
from datetime import UTC, datetime, timedelta
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


@pytest.mark.parametrize("case", CASES["interpolate"], ids=name)
def test_interpolate_follows_the_reference(case):
    filled = cel.interpolate(case["expression"], case["input"]["event"], NOW)
    assert filled == case["result"]


@pytest.mark.parametrize(
    ("expression", "data", "filled"),
    [
        ("event.data.n > 1 && async.data.a == 'q'", {"n": 2}, 'async.data.a == "q"'),
        ("event.data.n > 1 || async.data.a == 'q'", {"n": 2}, "true"),
        ("event.data.n > 3 || async.data.a == 'q'", {"n": 2}, 'async.data.a == "q"'),
        ("!(event.data.n > 1) && async.data.a == 1", {"n": 2}, "false"),
        ("event.data.s > 5", {"s": "x"}, '"x" > 5'),
        ("event.data.max >= async.data.n", {}, "async.data.n <= null"),
        ("has(event.data.x) && async.data.x == 1", {}, "false"),
        ("has(event.data.x) && async.data.x == 1", {"x": 0}, "async.data.x == 1"),
        ("has(async.data.x) && async.data.x == event.data.x", {"x": 1}, None),
        ("event.data.n > 1 ? async.data.a == 1 : async.data.b == 1", {"n": 2}, "async.data.a == 1"),
        ("async.data.m[event.data.k] == 1", {"k": "a b"}, 'async.data.m["a b"] == 1'),
        ("async.data['a b'].c == event.data.k", {"k": -2}, 'async.data["a b"].c == -2.0'),
        (
            "event.data.l.exists(i, i == async.data.i)",
            {"l": [1]},
            "[1.0].exists(i, i == async.data.i)",
        ),
        ("event.data.l.exists(i, i > 1)", {"l": [1, 2]}, "true"),
        ("async.data.l.exists(event, event == 1)", {}, "async.data.l.exists(event, event == 1)"),
        (
            "event.data.o == async.data.o",
            {"o": {"k": [1, None]}},
            '{"k": [1.0, null]} == async.data.o',
        ),
        ("async.data.s == event.data.s", {"s": "\x00é\u2028\U0001f600"}, None),
        ("(async.data.a - event.data.n) * 2.0 == -(1.0 - async.data.b)", {"n": 1}, None),
        ("event.data.id == 'x'", {"id": "y"}, "false"),
        ("1 == 1 && 2 > 1", {}, "true"),
        ("now() > date('2020-01-01') && async.data.a == 1", {}, None),
        ("lowercase(event.data.s) == async.data.s", {"s": "AB"}, 'lowercase("AB") == async.data.s'),
    ],
)
def test_interpolate(expression, data, filled):
    found = cel.interpolate(expression, {"data": data}, NOW)
    assert filled in (None, found)
    cel.compile(found)


@pytest.mark.parametrize("number", [0, 5, -5, 1295, 1e6, 5.25, 1e-7, 1704067200000, 2**60, 1.5e300])
def test_interpolated_numbers_match_themselves(number):
    event = {"data": {"n": number}}
    filled = cel.interpolate("event.data.n == async.data.n", event, NOW)
    assert cel.matches(filled, {"async": event}, NOW)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("'a\\n\\x41\\u00e9\\101' == \"a\\nAéA\"", True),
        ("r'\\d' == '\\\\d'", True),
        ("'''a'b''' == \"a'b\"", True),
        ("b'\\xff' == b'\\377'", True),
        ("size(b'é')", 2),
        ("0x10 + 1", 17),
        ("1e3 == 1000", True),
        ("-7 / 2", -3),
        ("-7 % 4", -3),
        ("9223372036854775807 - 1", 2**63 - 2),
        ("1 + 2 * 3", 7),
        ("2 - 1 - 1", 0),
        ("true ? 1 : false ? 2 : 3", 1),
        ("event.data.in == 1", False),
        ("{'a': 1}.a", 1),
        ("{1: 'a'}[1]", "a"),
        ("[1, 2][1]", 2),
        ("[1, 2][event.data.n]", 2),
        ("[1, event.data.x]", False),
        ("string(duration('90m'))", "5400s"),
        ("string(timestamp('2024-01-01T00:00:00Z') + duration('1h'))", "2024-01-01T01:00:00Z"),
        ("timestamp('2024-01-01T23:30:00Z').getDate('Europe/Paris')", 2),
        ("timestamp('2024-01-01T23:30:00Z').getHours('+01:30')", 1),
        ("duration('90m').getHours()", 1),
        ("int(timestamp('2024-01-01T00:00:00Z'))", 1704067200),
        ("int(3.9)", 3),
        ("uint('7') == 7", True),
        ("[3, 1].map(x, x > 1, x * 2)", [6]),
        ("[1, 2].exists(x, x / 0 == 1 || x == 2)", True),
        ("{'b': 1, 'a': 2}.map(k, k)", ["b", "a"]),
        ("'x' + {'b': 1, 'a': [null, true]}", "xmap[a:[NULL_VALUE true] b:1]"),
        ("now() == timestamp('2026-01-01T00:00:00Z')", True),
        ("string(now_plus('1w'))", "2026-01-08T00:00:00Z"),
        ("'2024-01-01'.date().getFullYear()", 2024),
        ("true < false", False),
        ("null <= null", True),
        ("event.data.x < event.data.y", False),
        ("-event.data.x", False),
        ("// comment\n 1", 1),
    ],
)
def test_evaluate(text, value):
    found = cel.evaluate(text, {"event": {"data": {"n": 1}}}, NOW)
    assert (found, type(found) is bool) == (value, type(value) is bool)


@pytest.mark.parametrize(
    "text",
    [
        "9223372036854775807 + 1",
        "-9223372036854775807 - 2",
        "1 % 0",
        "1 / 0",
        "int(1e300)",
        "uint(-1)",
        "int('1_0')",
        "double('x')",
        "true > 1",
        "[1] < [2]",
        "1 in 2",
        "-'a'",
        "date('9999-12-31') + duration('48h')",
        "now_plus('999999w')",
        "'a'.matches('(')",
        "size()",
        "timestamp('2024-01-01T00:00:00Z').getHours('Nowhere')",
        "nothing(1)",
        "'a'.size(1)",
    ],
)
def test_evaluate_fails(text):
    with pytest.raises(cel.CelError):
        cel.evaluate(text, {}, NOW)


@pytest.mark.parametrize(
    "text",
    [
        "1 +",
        "a b",
        "'\\ud800'",
        "'\\q'",
        "9223372036854775808",
        "18446744073709551616u",
        "if == 1",
        "has(event)",
        "has(1)",
        "event.data.l.all(1, true)",
        "'unclosed",
        "a.b{c: 1}",
        "{1.5: 2}",
        "@",
        "other.x",
        "size(1, 2)",
        "event.data.size(1)",
        "'a'.int()",
        "contains('a', 'b')",
        "i == 1",
        "event.data.l.all(i, j == 1)",
        "event.data.l.all(i, true) && i",
        "double.x",
    ],
)
def test_check_refuses(text):
    with pytest.raises(Invalid):
        cel.check(text)


@pytest.mark.parametrize(
    "text",
    [
        "event.data.l.all(i, i.x > 1 && event.ts > 0)",
        "type(event.data.n) == double",
        "now() > date(1)",
        "event.data.at.date() < now_minus('1d')",
        "timestamp(event.data.at).getHours('UTC') == 1",
        "async.data.l.map(i, i > 1, i + 1).size() == 2",
        "event.data.s.matches('^a')",
    ],
)
def test_check_accepts(text):
    cel.check(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("async.data.id == 'x'", [(("data", "id"), "x")]),
        (
            '"x" == async.data.id && async.data.n == 5',
            [(("data", "id"), "x"), (("data", "n"), 5.0)],
        ),
        ("async.data['k k'].b == true", [(("data", "k k", "b"), True)]),
        (
            "async.data.a == 'x' && (async.data.b == 1u && async.ts > 2)",
            [(("data", "a"), "x"), (("data", "b"), 1.0)],
        ),
        ("async.data.id == 'x' || async.data.n == 5", []),
        ("!(async.data.id == 'x')", []),
        ("async.data.id == null", []),
        ("async.data.id != 'x'", []),
        ("event.data.id == 'x'", []),
        ("async.data.a == async.data.b", []),
    ],
)
def test_equalities(text, found):
    assert cel.equalities(text) == found


def test_programs_are_fast_and_cached():
    assert cel.compile("event.data.a == 1") is cel.compile("event.data.a == 1")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (5.0, "5"),
        (1e6, "1e+06"),
        (True, "true"),
        (False, "false"),
        (120, "120"),
        (None, "NULL_VALUE"),
        ([1.0, "a"], "[1 a]"),
        ({"k": "v"}, "map[k:v]"),
        (timedelta(hours=1), "3600s"),
        (NOW, "2026-01-01T00:00:00Z"),
    ],
)
def test_key_text(value, text):
    assert cel.key_text(value) == text
