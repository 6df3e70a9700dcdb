"""Ids follow the protocol's vectors."""

import json
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inngest_py.domain.values import ids

VECTORS = Path(__file__).parent.parent / "vectors"


def vectors(name):
    return json.loads((VECTORS / f"vectors-{name}.json").read_text())


@pytest.mark.parametrize("case", vectors("event-id-seed")["cases"])
def test_seeded_follows_the_vectors(case):
    assert ids.seeded(case["header"], case["index"]) == case["internal_id"]


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        ",",
        "1743130137367,",
        ",eii2YKXRVTJPuA==",
        "+1743130137367,eii2YKXRVTJPuA==",
        "-5,eii2YKXRVTJPuA==",
        "1_743,eii2YKXRVTJPuA==",
        " 1743130137367,eii2YKXRVTJPuA==",
        "1743130137367,eii2YKXRVTJPuA==,x",
        "1743130137367,eii2YKXRVTJPuA==\n",
        "281474976710656,eii2YKXRVTJPuA==",
        "999999999999999,eii2YKXRVTJPuA==",
        "9" * 5000 + ",eii2YKXRVTJPuA==",
        "1743130137367,eii2YKXRVTJPuAAA",
        "1743130137367,eii2YKXRVTJ-_A==",
        "١٧٤٣,eii2YKXRVTJPuA==",
    ],
)
def test_a_malformed_seed_is_ignored(header):
    assert ids.seeded(header, 1) is None


def test_an_invocation_has_index_0():
    assert ids.seeded("1743130137367,eii2YKXRVTJPuA==", 0) == "01JQDAE4RQF8MBCR55T5AK4KXR"


@given(st.text())
def test_any_seed_gives_a_ulid_or_nothing(header):
    made = ids.seeded(header, 3)
    assert made is None or ids.is_ulid(made)


@pytest.mark.parametrize("case", vectors("step-ids")["cases"])
def test_step_hash_follows_the_vectors(case):
    assert ids.step_hash(case["id"]) == case["hash"]


def test_a_repeated_step_id_hashes_with_its_index():
    assert ids.step_hash("my-step-id", 2) == ids.step_hash("my-step-id:2")


def test_uuids_follow_the_vectors():
    app, function, pause = vectors("uuids")["cases"]
    assert ids.app_id(app["input"]) == app["uuid"]
    assert ids.function_id("Fn One", function["input"][len("Fn One") :]) == function["uuid"]
    assert ids.wait_id(pause["input"][:26], pause["input"][26:]) == pause["uuid"]


def test_fixed_ids_follow_the_vectors():
    fixed = vectors("uuids")["fixed"]
    assert fixed["dev account id"] == ids.DEV_ACCOUNT_ID
    assert fixed["dev environment id"] == ids.DEV_ENV_ID
    assert str(uuid.UUID(ids.DEV_ENV_ID)) == ids.DEV_ENV_ID


@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
def test_a_ulid_keeps_its_time(ms, entropy):
    made = ids.ulid(ms, entropy)
    assert ids.is_ulid(made)
    assert ids.ulid_ms(made) == ms


@given(
    st.tuples(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10)),
    st.tuples(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10)),
)
def test_ulids_sort_by_time_then_entropy(one, other):
    assert (ids.ulid(*one) < ids.ulid(*other)) == (one < other)


def test_a_known_ulid():
    assert ids.ulid(1469918176385, bytes(10)) == "01ARYZ6S410000000000000000"
    assert ids.ulid(2**48 - 1, b"\xff" * 10) == "7" + "Z" * 25


@pytest.mark.parametrize(
    ("ms", "entropy"), [(-1, bytes(10)), (2**48, bytes(10)), (0, bytes(9)), (0, bytes(11))]
)
def test_values_that_do_not_fit_a_ulid_are_refused(ms, entropy):
    with pytest.raises(ValueError, match="ULID"):
        ids.ulid(ms, entropy)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "01ARYZ6S41",
        "81ARYZ6S410000000000000000",
        "01ARYZ6S41000000000000000I",
        "01aryz6s410000000000000000",
        "01ARYZ6S410000000000000000\n",
        "01ARYZ6S41000000000000000\u0660",
    ],
)
def test_text_that_is_not_a_ulid(text):
    assert not ids.is_ulid(text)
    with pytest.raises(ValueError, match="not a ULID"):
        ids.ulid_ms(text)


def test_following_changes_only_the_entropy():
    first = ids.ulid(5, bytes(9) + b"\xff")
    assert ids.following(first) == ids.ulid(5, bytes(8) + b"\x01\x00")
    assert ids.following(first, 2) == ids.ulid(5, bytes(8) + b"\x01\x01")
    assert ids.following(ids.ulid(5, b"\xff" * 10)) == ids.ulid(5, bytes(10))
