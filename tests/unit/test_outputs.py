"""Results and errors get the forms that are stored and published."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inngest_py.domain import outputs
from inngest_py.domain.errors import Invalid

DEFAULT = outputs.DEFAULT_MESSAGE
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text('abc{}"é'),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc"), inner),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("body", "result"),
    [
        (b"", b"null"),
        (b" \n", b"null"),
        (b"null", b"null"),
        (b'{"b": 1.0, "a": [true]}', b'{"a":[true],"b":1}'),
        (b'"text"', b'"text"'),
        (b'"{\\"b\\":1,\\"a\\":\\"{}\\"}"', b'{"a":"{}","b":1}'),
        (b'"[1, 2]"', b'"[1, 2]"'),
        (b'"\\"{}\\""', b'"\\"{}\\""'),
        (b'"{not json"', b'"{not json"'),
        (b"plain text", b'"plain text"'),
        (b"{broken", b'"{broken"'),
        (b"\xff", '"\ufffd"'.encode()),
        (b"42", b"42"),
    ],
)
def test_parse_result(body, result):
    assert outputs.parse_result(body) == result


@given(st.binary())
def test_any_body_has_a_canonical_result(body):
    json.loads(outputs.parse_result(body))


@given(JSON)
def test_a_result_keeps_its_value(value):
    result = json.loads(outputs.parse_result(json.dumps(value).encode()))
    assert result == value or isinstance(value, str)


@pytest.mark.parametrize(
    ("output", "text", "error"),
    [
        (None, None, {"error": DEFAULT, "name": "Error", "message": DEFAULT}),
        (None, "invalid status code: 500", {"error": "invalid status code: 500", "name": "Error",
                                            "message": "invalid status code: 500"}),
        (7, None, {"error": DEFAULT, "name": "Error", "message": DEFAULT}),
        ([1], None, {"error": DEFAULT, "name": "Error", "message": DEFAULT}),
        ("boom", None, {"error": "Error: boom", "name": "Error", "message": "boom"}),
        ("boom", "status", {"error": "status", "name": "Error", "message": "boom"}),
        (
            {"name": "TypeError", "message": "x", "stack": "s", "cause": {"message": "y"}},
            "invalid status code: 400",
            {"error": "invalid status code: 400", "name": "TypeError", "message": "x",
             "stack": "s", "cause": {"message": "y"}},
        ),
        (
            {"name": "TypeError", "message": "x", "code": "c", "noRetry": True, "data": [1]},
            None,
            {"error": "TypeError: x", "name": "TypeError", "message": "x", "data": [1]},
        ),
        ({"error": "why"}, None, {"error": "why", "name": "Error", "message": DEFAULT}),
        (
            {"error": {"name": "A", "message": "m", "error": "e"}, "name": "ignored"},
            "text",
            {"error": "e", "name": "A", "message": "m"},
        ),
        ({"error": '{"name":"A","message":"m"}'}, None,
         {"error": "A: m", "name": "A", "message": "m"}),
        ({"body": '{"name":"A","message":"m"}'}, None,
         {"error": "A: m", "name": "A", "message": "m"}),
        ('{"name":"A","message":"m"}', None, {"error": "A: m", "name": "A", "message": "m"}),
        ({"name": 1, "message": None, "stack": [], "cause": None}, None,
         {"error": DEFAULT, "name": "Error", "message": DEFAULT}),
    ],
)  # fmt: skip
def test_error_object(output, text, error):
    assert outputs.error_object(output, text) == error


def test_a_long_nested_text_is_not_parsed():
    text = json.dumps({"name": "A", "message": "m" * outputs.MAX_NESTED_BYTES})
    assert outputs.error_object({"error": text})["name"] == "Error"


@given(JSON, st.none() | st.text())
def test_any_output_has_an_error(output, text):
    error = outputs.error_object(output, text)
    assert all(isinstance(error[key], str) and error[key] for key in ("error", "name", "message"))


def test_a_result_is_not_too_deep_to_be_published():
    assert outputs.parse_result(b"[" * 190 + b"]" * 190)
    with pytest.raises(Invalid, match="nested deeper than 190 levels"):
        outputs.parse_result(b"[" * 191 + b"]" * 191)
