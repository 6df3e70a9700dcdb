"""Wildcards follow the protocol's vectors."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inngest_py.domain.values.names import patterns

VECTORS = json.loads(
    (Path(__file__).parent.parent / "vectors" / "vectors-wildcards.json").read_text()
)


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["event"])
def test_patterns_follow_the_vectors(case):
    assert patterns(case["event"]) == case["matching_triggers"]


@given(st.text("ab/.*", max_size=20))
def test_patterns_are_prefixes_without_repeats(name):
    found = patterns(name)
    assert found[0] == name
    assert len(found) == len(set(found))
    for pattern in found[1:]:
        assert pattern.endswith(("/*", ".*"))
        assert name.startswith(pattern[:-1])
        assert pattern != "*"
