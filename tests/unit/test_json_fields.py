"""A reader of fields names the path of what is wrong, and takes null for absent."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from inngest_py.domain.errors import Invalid
from inngest_py.domain.values.json_fields import MAX_INTEGER, JsonFields


class Coded(JsonFields):
    """A reader whose errors have codes."""

    CODE, MISSING_CODE = "wrong_format", "missing"


@pytest.mark.parametrize(
    "read", [JsonFields.text, JsonFields.integer, JsonFields.time, JsonFields.object]
)
def test_null_is_absent(read: Callable[..., Any]) -> None:
    assert read(JsonFields({"a": None}), "a") is None
    assert read(JsonFields({}), "a") is None


def test_what_is_right_is_read() -> None:
    given = JsonFields({"t": "é", "n": 3.0, "at": "2024-01-31T10:00:00+01:00", "o": {"x": "y"}})
    assert (given.text("t", 2), given.integer("n")) == ("é", 3)
    assert given.time("at") == datetime(2024, 1, 31, 9, tzinfo=UTC)
    inner = given.object("o")
    assert inner is not None
    assert (inner.path, inner.needed("x")) == ("o", "y")
    assert JsonFields({"t": "", "at": ""}).text("t") is None
    assert JsonFields({"t": "", "at": ""}).time("at") is None


@pytest.mark.parametrize(
    ("read", "value", "told"),
    [
        (JsonFields.text, 1, "must be a string, not a number"),
        (JsonFields.text, "a\0", "holds a NUL character: remove it"),
        (JsonFields.text, "\ud800", "holds half of a surrogate pair"),
        (JsonFields.text, "é" * 1025, "is too long: Max 2048 bytes / Size 2050 bytes"),
        (JsonFields.needed, "", "is missing"),
        (JsonFields.integer, True, "must be an integer, not a boolean"),
        (JsonFields.integer, "1", "must be an integer, not a string"),
        (JsonFields.integer, 1.5, "must be a whole number"),
        (JsonFields.integer, float("inf"), "must be a finite integer"),
        (JsonFields.integer, -1, f"must lie between 0 and {MAX_INTEGER}"),
        (JsonFields.integer, 10**400, f"must lie between 0 and {MAX_INTEGER}"),
        (JsonFields.time, "soon", "must be an RFC 3339 time"),
        (JsonFields.time, 7, "must be an RFC 3339 time"),
        (JsonFields.object, [], "must be an object, not an array"),
    ],
)
def test_what_is_wrong_has_its_path(read: Callable[..., Any], value: object, told: str) -> None:
    with pytest.raises(Invalid) as raised:
        read(JsonFields({"b": value}, "a[1]"), "b")
    assert raised.value.message == f"a[1].b {told}"
    assert (raised.value.field, raised.value.code) == ("a[1].b", None)


def test_arrays_of_objects() -> None:
    given = JsonFields({"a": [{"b": 1}, {"b": 2}]}, "x")
    assert [(item.path, item.get("b")) for item in given.objects("a", 2)] == [
        ("x.a[0]", 1),
        ("x.a[1]", 2),
    ]
    assert given.objects("none", 2) == []
    for value, told in (
        ({}, "x.a must be an array, not an object"),
        ([{}, {}], "x.a holds 2 items: at most 1 are allowed"),
        ([7], "x.a[0] must be an object, not a number"),
    ):
        with pytest.raises(Invalid) as raised:
            JsonFields({"a": value}, "x").objects("a", 1)
        assert raised.value.message == told


def test_errors_have_codes() -> None:
    def code(read: Callable[[], object]) -> str | None:
        with pytest.raises(Invalid) as raised:
            read()
        return raised.value.code

    given = Coded({"a": 1, "o": {"b": "\0"}})
    inner = given.object("o")
    assert inner is not None
    assert code(lambda: Coded([])) == "wrong_format"
    assert code(lambda: given.text("a")) == "wrong_format"
    assert code(lambda: given.text("a", code="special")) == "special"
    assert code(lambda: inner.text("b")) == "wrong_format"
    assert code(lambda: given.needed("none")) == "missing"
