"""No expression, with any text and values, breaks, blocks or exhausts the process."""

import json
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inngest_py.domain import cel
from inngest_py.domain.cel.functions import FUNCTIONS
from inngest_py.domain.cel.values import BINARY
from inngest_py.domain.errors import Invalid

NOW = datetime(2026, 1, 1, tzinfo=UTC)

SCALARS = (
    st.none() | st.booleans() | st.floats(-1e9, 1e9) | st.integers(-(2**53), 2**53) | st.text()
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(JSON)
def test_interpolated_values_match_themselves(value):
    event = {"data": {"v": value}}
    filled = cel.interpolate("event.data.v == async.data.v && async.data.v != 17.5", event, NOW)
    assert cel.matches(filled, {"async": event}, NOW)


@given(JSON)
def test_every_value_has_a_text(value):
    assert isinstance(cel.key_text(value), str)
    found = cel.evaluate("event", {"event": value}, NOW)
    assert isinstance(cel.key_text(found), str)


TOKENS = """
event async .data .a .b [0] ['k'] == != < <= > >= && || ! - + * / % ? : in ( ) [ ] { } , 1 2u 1.5
'x' null true size( has( exists( .all(i, .map(i, .filter(i, int( string( date( b'z' now() matches(
.contains( -1 0 double type( duration('1h') timestamp( r'\\d' json_parse(
"""
WORDS = st.sampled_from(TOKENS.split())


@given(st.text(max_size=50) | st.lists(WORDS, max_size=14).map(" ".join), JSON)
@settings(max_examples=200)
def test_any_text_raises_only_its_errors(text, value):
    variables = {"event": {"data": {"a": value, "b": 2}}, "async": {"data": value}}
    for call in (
        lambda: cel.check(text),
        lambda: cel.check_restrictive(text),
        lambda: cel.equalities(text),
        lambda: cel.evaluate(text, variables, NOW),
        lambda: cel.key_text(cel.evaluate(text, variables, NOW)),
        lambda: cel.compile(cel.interpolate(text, variables["event"], NOW)),
    ):
        try:
            call()
        except (Invalid, cel.CelError):
            continue
    assert cel.matches(text, variables, NOW) in (True, False)


OPERANDS = st.sampled_from(
    [
        "event.data.a",
        "event.data.b",
        "event.data.x",
        "null",
        "1",
        "1u",
        "1.5",
        "'x'",
        "true",
        "[1]",
        "{'k': 1}",
        "date('2024-01-01')",
        "duration('1h')",
        "b'x'",
        "type(1)",
        "-9223372036854775807",
    ]
)
SIGNS = st.sampled_from(sorted([*BINARY, "&&", "||"]))


@given(OPERANDS, SIGNS, OPERANDS, JSON)
@settings(max_examples=300)
def test_operators_raise_only_cel_errors(left, sign, right, value):
    variables = {"event": {"data": {"a": value, "b": 0}}}
    try:
        cel.key_text(cel.evaluate(f"{left} {sign} {right}", variables, NOW))
    except cel.CelError:
        return


@given(OPERANDS, st.sampled_from(sorted(FUNCTIONS)), JSON)
@settings(max_examples=200)
def test_functions_raise_only_cel_errors(operand, name, value):
    variables = {"event": {"data": {"a": value, "b": 0}}}
    for text in (f"{name}({operand})", f"({operand}).{name}('x')", f"{name}()"):
        try:
            cel.evaluate(text, variables, NOW)
        except cel.CelError:
            continue


@pytest.mark.parametrize(
    "text",
    [
        "(" * 20_000 + "a" + ")" * 20_000,
        "!" * 5000 + "true",
        "-" * 5000 + "a",
        "1" + "+1" * 5000,
        "[" * 5000 + "]" * 5000,
        "[" * 230 + "]" * 230 + " == event.data.a",
        "{'a':" * 3000 + "1" + "}" * 3000,
        "a?b:" * 4000 + "c",
        "f(" * 5000 + ")" * 5000,
        "a" + ".b" * 8000,
        "a" + "[0]" * 5000,
        "a" + ".f()" * 4000,
        "a" + "||a" * 5000,
        "event.data.a" + ".map(a,[a,a])" * 90,
        "'" + "x" * 70_000 + "'",
        "9" * 10_000,
        "1e" + "9" * 5000,
        "1" * 500 + ".0",
    ],
    ids=lambda text: text[:12],
)
def test_no_text_exhausts_the_stack(text):
    deep = json.loads("[" * 200 + "]" * 200)
    variables = {"event": {"data": {"a": deep}}}
    for call in (cel.check, cel.check_restrictive, cel.equalities):
        try:
            call(text)
        except Invalid:
            continue
    with suppress(Invalid, cel.CelError):
        cel.key_text(cel.evaluate(text, variables, NOW))
    with suppress(Invalid):
        cel.interpolate(text, variables["event"], NOW)


@pytest.mark.parametrize(
    "text",
    [
        "event.data.l.all(a, event.data.l.all(b, event.data.l.all(c, a + b + c > 0.0)))",
        "[1]" + ".map(a, [a, a])" * 60 + " == [1]" + ".map(a, [a, a])" * 60,
        "'x' + [1]" + ".map(a, [a, a])" * 60,
        "[1]" + ".map(a, [a, a])" * 60,
        "[[1,1]]" + ".map(a, a + a)" * 60,
        "['x']" + ".map(a, a + a)" * 60,
    ],
    ids=["loops", "equality", "text", "shared", "list", "string"],
)
def test_no_text_takes_forever(text):
    variables = {"event": {"data": {"l": list(range(1, 1000))}}}
    with pytest.raises(cel.CelError):
        cel.evaluate(text, variables, NOW)
