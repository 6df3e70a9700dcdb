"""Search keys: what may be declared, how values are indexed, how a search's text is read."""

from typing import Any

import pytest

from inngest_py.domain.errors import Invalid
from inngest_py.domain.functions import search_keys
from inngest_py.domain.values import payload_paths

DECLARED = {"order_id", "region"}


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ([], "the body"),
        ({}, "keys"),
        ({"keys": []}, "keys"),
        ({"keys": {"a": "event.data.a"}, "more": 1}, "more"),
        ({"keys": {"a b": "event.data.a"}}, "keys.a b"),
        ({"keys": {"1a": "event.data.a"}}, "keys.1a"),
        ({"keys": {"a": 5}}, "keys.a"),
        ({"keys": {"a": None}}, "keys.a"),
        ({"keys": {"a": "data.a"}}, "keys.a"),
        ({"keys": {"a": "event"}}, "keys.a"),
        ({"keys": {"a": "event.data..b"}}, "keys.a"),
        ({"keys": {"a": "event.data['b']"}}, "keys.a"),
        ({"keys": {"a": "event." + "x" * 300}}, "keys.a"),
        ({"keys": {"a": "event" + ".x" * 11}}, "keys.a"),
        ({"keys": {f"k{n}": "event.data.a" for n in range(9)}}, "keys"),
    ],
)
def test_what_is_wrong_is_named(body: Any, named: str) -> None:
    with pytest.raises(Invalid) as raised:
        search_keys.parse(body)
    assert raised.value.message.startswith(named)


def test_keys_survive_their_row() -> None:
    keys = search_keys.parse({"keys": {"order_id": "event.data.order.id"}})
    assert search_keys.from_json(search_keys.to_json(keys)) == keys
    assert search_keys.to_json({}) is None
    assert search_keys.from_json(None) == {}


@pytest.mark.parametrize(
    ("value", "indexed"),
    [
        ("A-1001", "A-1001"),
        (1001, "1001"),
        (2.5, "2.5"),
        (2.0, "2"),
        (True, "true"),
        (False, "false"),
        ("", None),
        (None, None),
        ([1], None),
        ({"a": 1}, None),
        ("x" * 128, "x" * 128),
    ],
)
def test_values_are_indexed_as_text(value: object, indexed: str | None) -> None:
    assert search_keys.indexed(value) == indexed


def test_long_values_are_told_apart_by_a_hash() -> None:
    one, other = search_keys.indexed("x" * 129), search_keys.indexed("x" * 128 + "y")
    assert one != other
    assert one is not None and len(one) == 129 and one.startswith("x" * 64)
    odd = search_keys.indexed("a\0b")
    assert odd is not None and len(odd) == 129 and "\0" not in odd
    assert odd != search_keys.indexed("a\0c")


def test_values_of_a_run_are_those_of_its_events() -> None:
    body = {"keys": {"order_id": "event.data.id", "first": "event.data.items.0.sku"}}
    events: list[Any] = [
        {"data": {"id": 1, "items": [{"sku": "s"}]}},
        {"data": {"id": 1}},
        {"data": {"id": "2", "items": []}},
        {"data": None},
    ]
    found = search_keys.of_events(search_keys.parse(body), events)
    assert sorted(found) == [("first", "s"), ("order_id", "1"), ("order_id", "2")]
    many = [{"data": {"id": n}} for n in range(150)]
    assert len(search_keys.of_events(search_keys.parse(body), many)) == 100


@pytest.mark.parametrize(
    ("text", "rest", "pairs"),
    [
        ("needle", "needle", []),
        ("order_id:A-1001", "", [("order_id", "A-1001")]),
        ("a order_id:A-1 b", "a b", [("order_id", "A-1")]),
        ('order_id:"A 1" region:eu', "", [("order_id", "A 1"), ("region", "eu")]),
        ("https://x/y  z", "https://x/y  z", []),
        ("other:1", "other:1", []),
        ("order_id:", "order_id:", []),
        ("xorder_id:1", "xorder_id:1", []),
    ],
)
def test_declared_keys_are_read_from_a_text(text: str, rest: str, pairs: list[Any]) -> None:
    assert search_keys.split(text, DECLARED) == (rest, pairs)


@pytest.mark.parametrize(
    ("pairs", "named"),
    [
        ([("total", "1")], "key.total"),
        ([("order_id", "")], "key.order_id"),
        ([("order_id", "1"), ("order_id", "2")], "key.order_id"),
    ],
)
def test_a_wrong_search_names_the_key(pairs: list[Any], named: str) -> None:
    with pytest.raises(Invalid) as raised:
        search_keys.check_pairs(pairs, DECLARED)
    assert raised.value.message.startswith(named)


def test_paths_find_fields() -> None:
    event = {"data": {"a": {"b-c": [10, {"d": None}]}}, "name": "x"}
    for text, found in (
        ("event.data.a.b-c.0", 10),
        ("event.data.a.b-c.7", None),
        ("event.data.a.b-c.x", None),
        ("event.name", "x"),
        ("event.name.x", None),
        ("event.nope.x", None),
    ):
        assert payload_paths.parse(text, "col").find(event) == found
    assert payload_paths.shown({"a": [1]}) == '{"a":[1]}'
    assert payload_paths.shown("a") == "a"
    assert payload_paths.shown(None) == ""
