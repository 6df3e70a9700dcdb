"""Checks of JSON values from outside."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inngest_py.domain.errors import Invalid
from inngest_py.domain.values import checks

JSON = st.recursive(
    st.none() | st.text('[]{}"\\\\a'),
    lambda inner: st.lists(inner) | st.dictionaries(st.text('[{"\\\\'), inner),
)


def depth(value):
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@given(JSON, st.integers(0, 6))
def test_is_deeper_counts_arrays_and_objects_outside_strings(value, levels):
    assert checks.is_deeper(json.dumps(value), levels) == (depth(value) > levels)


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (None, "null"),
        (True, "a boolean"),
        (1, "a number"),
        (1.5, "a number"),
        ("", "a string"),
        ([], "an array"),
        ({}, "an object"),
        (b"", "another type"),
    ],
)
def test_kind_names_the_types_of_json(value, word):
    assert checks.kind(value) == word


def test_check_text_counts_bytes():
    assert checks.check_text("é" * 2, "x", 4, "f") == "éé"
    with pytest.raises(Invalid) as caught:
        checks.check_text("é" * 2, "x", 3, "f")
    assert (caught.value.field, caught.value.message) == (
        "f",
        "x is too long: Max 3 bytes / Size 4 bytes",
    )


@given(JSON, st.integers(0, 6))
def test_cut_leaves_what_is_not_too_deep(value, levels):
    text = json.dumps(value)
    cut = checks.cut(text, levels)
    assert depth(json.loads(cut)) <= levels
    assert (cut == text) == (depth(value) <= levels)
