"""Signatures and bearer tokens follow the protocol's vectors."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inngest_py.domain.access import signatures
from inngest_py.domain.errors import Invalid
from inngest_py.domain.values import canonical

VECTORS = Path(__file__).parent.parent / "vectors"
KEYS = json.loads((VECTORS / "vectors-signing-keys.json").read_text())
SIGNATURES = json.loads((VECTORS / "vectors-signatures.json").read_text())
KEY = "signkey-test-12345678"


@pytest.mark.parametrize("case", KEYS, ids=lambda case: case["key"][:24])
def test_keys_follow_the_vectors(case):
    assert signatures.strip_prefix(case["key"]) == case["hmac_key_utf8"]
    assert signatures.bearer(case["key"]) == case["bearer"]


@pytest.mark.parametrize("case", SIGNATURES["request"], ids=lambda case: case["body_sent"][:24])
def test_requests_follow_the_vectors(case):
    body = canonical.canonical(case["body_sent"]) if case["body_sent"] else b""
    assert body == case["canonical_body"].encode()
    header = signatures.sign(case["signing_key"], body, case["timestamp"])
    assert header == case["header"]
    assert signatures.verify(case["signing_key"], body, header, now_s=case["timestamp"] + 300)


@pytest.mark.parametrize("case", SIGNATURES["response"], ids=lambda case: case["body"])
def test_answers_follow_the_vectors(case):
    assert signatures.verify(case["signing_key"], case["body"].encode(), case["header"])
    assert not signatures.verify(case["signing_key"], case["body"].encode() + b" ", case["header"])
    assert not signatures.verify("00", case["body"].encode(), case["header"])


@pytest.mark.parametrize("now_s", [0, 999_699, 1_000_301])
def test_old_and_early_signatures_are_refused(now_s):
    header = signatures.sign(KEY, b"{}", 1_000_000)
    assert not signatures.verify(KEY, b"{}", header, now_s=now_s)
    assert signatures.verify(KEY, b"{}", header)


def test_the_stamp_is_signed_too():
    header = signatures.sign(KEY, b"{}", 1_000_000)
    assert not signatures.verify(KEY, b"{}", header.replace("t=1000000", "t=1000001"))


@pytest.mark.parametrize("key", ["abc", "signkey-test-xyz", "zz", "signkey--"])
def test_a_key_that_is_not_hex_has_no_bearer(key):
    with pytest.raises(Invalid, match="hex"):
        signatures.bearer(key)


@pytest.mark.parametrize("text", ["", "undefined", "signkey-", "signkey--ab", "xsignkey-test-ab"])
def test_text_without_prefix_stays(text):
    assert signatures.strip_prefix(text) == text


@given(st.text(), st.binary(), st.text() | st.from_regex(r"\At=\d+&s=[0-9a-f]+\Z"))
def test_no_header_breaks_verify(key, body, header):
    assert signatures.verify(key, body, header, now_s=0) is False


@given(st.text(), st.binary(), st.integers(0, 10**11))
def test_signed_bytes_are_verified(key, body, stamp):
    assert signatures.verify(key, body, signatures.sign(key, body, stamp), now_s=stamp)
