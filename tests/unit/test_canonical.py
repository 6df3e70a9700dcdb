"""JSON is read safely, and written as RFC 8785 asks."""

import json
from pathlib import Path

import orjson
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from inngest_py.domain.errors import Invalid
from inngest_py.domain.values import canonical

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "vectors-jcs.json").read_text())
EXACT = 2**53 - 1

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-EXACT, EXACT)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(10**6), 10**6).map(float)
    | texts
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=6)
)


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["input"][:40])
def test_canonical_follows_the_vectors(case):
    assert canonical.canonical(case["input"]) == case["canonical"].encode()
    assert canonical.canonical(case["input"].encode()) == case["canonical"].encode()


@given(values)
def test_dumps_is_rfc_8785(value):
    assert canonical.dumps(value) == rfc8785.dumps(value)


@given(st.dictionaries(st.text("a\ue000\uffff\U0001f600\x7f\x1f", max_size=3), scalars))
def test_keys_sort_by_utf_16(value):
    assert canonical.dumps(value) == rfc8785.dumps(value)


@given(values)
def test_canonical_is_stable(value):
    once = canonical.dumps(value)
    assert canonical.canonical(once) == once


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("1e21", "1e+21"),
        ("1E2", "100"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("0.000001", "0.000001"),
        ("0.0000001", "1e-7"),
        ("1e16", "10000000000000000"),
        ("333333333.33333329", "333333333.3333333"),
        ("9007199254740993", "9007199254740992"),
        ("-9007199254740993", "-9007199254740992"),
        ("18446744073709551615", "18446744073709552000"),
        ("123456789012345678901234567890", "1.2345678901234568e+29"),
        ("19.99", "19.99"),
        ("5e-324", "5e-324"),
    ],
)
@pytest.mark.parametrize("frame", ["%s", "[%s]", '{"a":%s}', '{"a":[1,%s],"b":"x"}'])
def test_numbers_are_ecmascripts(number, text, frame):
    assert canonical.canonical(frame % number) == (frame % text).encode()


def test_integers_beyond_64_bits_become_doubles():
    assert canonical.dumps({"a": 2**70}) == b'{"a":1.1805916207174113e+21}'
    with pytest.raises(Invalid):
        canonical.dumps(10**400)


@pytest.mark.parametrize("text", ["12:30:45.123Z", "http://127.0.0.1:8000", "a1.0", "1e5", ":1.0,"])
def test_text_that_looks_like_numbers_stays(text):
    assert canonical.dumps({"t": text}) == orjson.dumps({"t": text})


def test_spliced_fragments_stay_or_become_canonical():
    whole = {"b": orjson.Fragment(b'{"x":1}'), "a": orjson.Fragment(b'{"y":1.0}')}
    assert canonical.dumps(whole) == b'{"a":{"y":1},"b":{"x":1}}'


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (rb'"\ud800"', "\ufffd"),
        (rb'"\udc00x"', "\ufffdx"),
        (rb'"\ud800\ud83d\ude00"', "\ufffd\U0001f600"),
        (rb'"\\ud800"', "\\ud800"),
        (rb'["\\\ud800", "\uD83D\uDE00"]', ["\\\ufffd", "\U0001f600"]),
        (rb'{"\udfff": 1}', {"\ufffd": 1}),
    ],
)
def test_half_surrogates_are_replaced(raw, value):
    assert canonical.loads(raw) == value
    assert canonical.loads(raw.decode()) == value


@pytest.mark.parametrize(
    "raw",
    [
        "",
        " ",
        "{",
        "nul",
        "NaN",
        "[Infinity]",
        "{'a':1}",
        "1 2",
        b"\xff",
        b'"\xed\xa0\x80"',
        "\ud800",
    ],
)
def test_text_that_is_not_json_is_invalid(raw):
    with pytest.raises(Invalid, match="this is not JSON"):
        canonical.loads(raw)


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_does_not_have_are_named(word):
    with pytest.raises(Invalid, match=f"it has no number {word.lstrip('-')}"):
        canonical.loads(f'{{"é":[1,{word}]}}'.encode())


@pytest.mark.parametrize("open_close", ["[]", ('{"a":', "}")])
def test_nesting_is_bounded(open_close):
    left, right = open_close
    assert canonical.loads(left * 200 + ("1" if left != "[" else "") + right * 200)
    for depth in (201, 300, 1000, 2000, 100_000):
        raw = left * depth + "1" + right * depth
        with pytest.raises(Invalid, match="nested deeper than 200"):
            canonical.loads(raw)
        with pytest.raises(Invalid, match="nested deeper than 200"):
            canonical.loads(raw.encode())


def test_many_brackets_are_not_depth():
    assert canonical.loads(json.dumps([[]] * 500 + ["[" * 500])) == [[]] * 500 + ["[" * 500]


@given(st.binary(max_size=60) | st.text(max_size=60) | st.text('[]{}":,0-9\\ud8', max_size=40))
def test_loads_raises_only_invalid(raw):
    try:
        value = canonical.loads(raw)
    except Invalid:
        return
    canonical.dumps(value)


@pytest.mark.parametrize("value", [object(), {1: 2}, "\ud800", {"a": {1, 2}}])
def test_values_without_json_are_invalid(value):
    with pytest.raises(Invalid, match="canonical"):
        canonical.dumps(value)


@pytest.mark.parametrize("number", [2**53, -(2**53), 2**63, 2**64 - 1, -(2**63)])
@pytest.mark.parametrize(
    "frame", [{"data": [1717200000000000, "NUMBER"]}, {"data": "NUMBER", "f": 1.0}]
)
def test_events_keep_integers_that_sdks_get_rounded(number, frame):
    event = orjson.loads(orjson.dumps(frame).replace(b'"NUMBER"', str(number).encode()))
    text = canonical.dumps_event(event).decode()
    assert canonical.loads(text) == event
    assert canonical.for_sdks(text) == canonical.dumps(event).decode()


@pytest.mark.parametrize("value", [{"a": 1717200000000000, "b": 2.0}, {"b": [2**53 - 1], "a": "é"}])
def test_events_without_such_integers_are_canonical(value):
    assert canonical.dumps_event(value) == canonical.dumps(value)


@pytest.mark.parametrize("value", [{"b": 1.0, "a": [2**64 - 1, -(2**63)]}, 2.5, "é", None])
def test_exact_json_is_what_it_was(value):
    text = canonical.dumps_exact(value)
    assert repr(canonical.loads(text)) == repr(value)


@pytest.mark.parametrize("value", [2**64, {1: 2}, {"a": object()}])
def test_what_exact_json_cannot_hold_is_invalid(value):
    with pytest.raises(Invalid, match="cannot be written as JSON"):
        canonical.dumps_exact(value)
