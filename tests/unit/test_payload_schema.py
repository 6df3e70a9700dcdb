"""The schema that is inferred from payloads."""

from typing import Any

from inngest_py.domain.events import payload_schema
from inngest_py.domain.events.payload_schema import MOST_FIELDS, SchemaField


def fields(*payloads: Any) -> dict[str, SchemaField]:
    return {one.path: one for one in payload_schema.infer(payloads).fields}


def test_fields_have_types_samples_and_may_be_optional() -> None:
    found = fields(
        {"order": {"id": "A-1", "total": 3, "items": [{"sku": "x"}, {"sku": "y", "gift": True}]}},
        {"order": {"id": "A-2", "total": 2.5, "items": []}, "note": None},
        {"order": {"id": "A-1", "total": 7, "items": []}, "note": "thanks"},
    )
    assert list(found) == [
        "note",
        "order",
        "order.id",
        "order.items",
        "order.items[]",
        "order.items[].gift",
        "order.items[].sku",
        "order.total",
    ]
    assert found["order"].types == ("object",)
    assert found["order.id"] == SchemaField("order.id", ("string",), False, ('"A-1"', '"A-2"'))
    assert found["order.total"].types == ("number",)
    assert found["order.items"].types == ("array",)
    assert found["note"].types == ("string", "null")
    optional = {path for path, one in found.items() if one.is_optional}
    assert optional == {"note", "order.items[].gift"}


def test_a_field_of_an_object_that_is_absent_is_not_optional_itself() -> None:
    found = fields({"user": {"id": 1}}, {})
    assert found["user"].is_optional
    assert not found["user.id"].is_optional
    assert found["user.id"].types == ("integer",)


def test_a_value_may_be_of_several_kinds() -> None:
    found = fields({"a": 1}, {"a": [1, "x"]}, {"a": {"b": False}}, {"a": None})
    assert found["a"].types == ("integer", "object", "array", "null")
    assert found["a[]"].types == ("string", "integer")
    assert found["a.b"].types == ("boolean",)


def test_odd_names_and_long_values_are_written_safely() -> None:
    found = fields({"a b": 1, "x": "y" * 500, "": {"0": 2}})
    assert set(found) == {'["a b"]', '[""]', '[""]["0"]', "x"}
    [sample] = found["x"].samples
    assert len(sample) < 80
    assert sample.endswith('…"')


def test_many_and_deep_fields_are_cut_off() -> None:
    wide = payload_schema.infer([{f"k{n}": n for n in range(MOST_FIELDS + 1)}])
    assert (len(wide.fields), wide.is_cut) == (MOST_FIELDS, True)
    deep: Any = 1
    for _ in range(50):
        deep = {"d": deep}
    assert payload_schema.infer([deep]).is_cut
    assert len(payload_schema.infer([deep]).fields) < 20
    assert payload_schema.infer([]).fields == ()
    assert payload_schema.infer(["text", None]).fields == ()
