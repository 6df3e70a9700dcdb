"""Results and errors get the forms that are stored and published."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inngest_py.domain.errors import Invalid
from inngest_py.domain.runs import outputs
from inngest_py.domain.values import checks

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
@example(b"0\0")  # JSON in UTF-16
@example(b"\xff\xfe1\0")
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


def nested(levels):
    return b"[" * levels + b"]" * levels


@pytest.mark.parametrize("levels", [151, 190, 201, 3000, 100_000])
def test_a_result_that_is_too_deep_is_refused_and_not_made_a_string(levels):
    assert outputs.parse_result(nested(150)) == nested(150)
    with pytest.raises(Invalid, match="nested deeper than 150 levels"):
        outputs.parse_result(nested(levels))


@pytest.mark.parametrize("body", [b"NaN", b'{"a":NaN}', b"[1,Infinity]", b'{"a":-Infinity}'])
def test_a_result_with_a_number_that_json_does_not_have_is_refused(body):
    """It is not stored as text, which would be another type than the function returned."""
    with pytest.raises(Invalid, match="it has no number"):
        outputs.parse_result(body)


def test_text_about_such_numbers_is_text():
    assert outputs.parse_result(b"NaN is not a number") == b'"NaN is not a number"'
    assert outputs.parse_result(b"{NaN}") == b'"{NaN}"'


@pytest.mark.parametrize("levels", [149, 151, 200, 3000])
def test_an_error_keeps_its_name_and_message_with_any_cause(levels):
    body = b'{"cause":' + nested(levels) + b',"message":"m","name":"E"}'
    error = outputs.parse_error(body)
    assert (error["name"], error["message"]) == ("E", "m")
    assert not checks.is_deeper(json.dumps(error), 150)
    if levels < 150:
        assert error == json.loads(body)
    else:
        assert "[nested too deep]" in json.dumps(error)


def test_an_error_with_a_number_that_json_does_not_have_keeps_the_rest():
    body = b'{"data":{"n":NaN},"message":"m","name":"E"}'
    assert outputs.parse_error(body) == {"data": {"n": None}, "message": "m", "name": "E"}
