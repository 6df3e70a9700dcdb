"""After which answers a connection may be used for another request."""

import pytest

from inngest_py.engine.transport import reuse

SIZED, CHUNKED = {"content-length": "3"}, {"transfer-encoding": "chunked"}


@pytest.mark.parametrize(
    ("method", "status", "headers", "follows"),
    [
        ("POST", 200, SIZED, True),
        ("POST", 206, CHUNKED, True),
        ("POST", 200, SIZED | {"connection": "keep-alive"}, True),
        ("POST", 200, {}, False),
        ("POST", 200, SIZED | CHUNKED, False),
        ("POST", 200, SIZED | {"connection": "Close"}, False),
        ("POST", 204, {}, True),
        ("POST", 204, SIZED, False),
        ("POST", 304, CHUNKED, False),
        ("HEAD", 200, {"content-length": "0"}, True),
        ("HEAD", 200, SIZED, False),
    ],
)
def test_a_connection_is_reused_after_an_answer_with_a_known_end(
    method: str, status: int, headers: dict[str, str], follows: bool
) -> None:
    assert reuse.may_follow(method, status, headers, old=False, sent=True, more=False) is follows
    for doubt in ({"sent": False}, {"more": True}):
        said = {"sent": True, "more": False} | doubt
        assert not reuse.may_follow(method, status, headers, old=False, **said)


@pytest.mark.parametrize(("connection", "follows"), [("", False), ("Keep-Alive", True)])
def test_http_1_0_must_ask_for_keep_alive(connection: str, follows: bool) -> None:
    headers = SIZED | {"connection": connection}
    assert reuse.may_follow("POST", 200, headers, old=True, sent=True, more=False) is follows


@pytest.mark.parametrize(
    ("headers", "is_fault"),
    [
        ({}, False),
        (SIZED, False),
        (CHUNKED, False),
        ({"content-length": "3, 3"}, False),
        ({"content-length": "3, 5"}, True),
        ({"content-length": "+3"}, True),
        ({"content-length": "-3"}, True),
        ({"content-length": "0x3"}, True),
        ({"content-length": ""}, True),
        ({"transfer-encoding": "gzip, chunked"}, True),
        ({"transfer-encoding": "chunked, chunked"}, True),
    ],
)
def test_headers_without_a_known_end_are_refused(headers: dict[str, str], is_fault: bool) -> None:
    assert (reuse.fault(headers) is not None) is is_fault


def test_chunks_are_plain_bytes_only_in_http_1_0() -> None:
    assert [reuse.is_plain(old, CHUNKED) for old in (True, False)] == [True, False]
    assert not reuse.is_plain(True, SIZED)


def test_a_header_that_is_given_twice_has_both_values() -> None:
    pairs = [("Content-Encoding", "gzip"), ("X-A", "1"), ("content-encoding", "br")]
    assert reuse.joined(pairs) == {"content-encoding": "gzip, br", "x-a": "1"}
