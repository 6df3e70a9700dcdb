"""Each URL has one spelling."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inngest_py.domain.errors import Invalid
from inngest_py.domain.values import urls

BASE = "http://localhost:3000/api/inngest"


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        (BASE, BASE),
        (f"{BASE}?deployId=abc", BASE),
        (f"{BASE}?probe=trust&a=1&deployId=", f"{BASE}?a=1"),
        (f"{BASE}?stepId=step&fnId=a-b", f"{BASE}?fnId=a-b&stepId=step"),
        (f"{BASE}?b=2&a=1&b=1", f"{BASE}?a=1&b=2&b=1"),
        (f"{BASE}?a", f"{BASE}?a="),
        (f"{BASE}?q=a%20b", f"{BASE}?q=a+b"),
        (f"{BASE}#part", BASE),
        ("http://127.0.0.1:3000/x", "http://localhost:3000/x"),
        ("http://0.0.0.0:3000/x", "http://localhost:3000/x"),
        ("http://127.0.0.1/x", "http://127.0.0.1/x"),
        ("http://127.0.0.1:80/x", "http://localhost/x"),
        ("http://127.0.0.2:3000/x", "http://127.0.0.2:3000/x"),
        ("HTTP://Example.COM:80/X", "http://example.com/X"),
        ("https://example.com:443/x", "https://example.com/x"),
        ("https://example.com:80/x", "https://example.com:80/x"),
        ("http://example.com:443/x", "http://example.com:443/x"),
        ("http://u:p@example.com:80/x", "http://u:p@example.com/x"),
        ("http://[::1]:8000/x", "http://[::1]:8000/x"),
        ("ws://example.com/x?fnId=a", "ws://example.com/x?fnId=a"),
        ("wss://example.com:444", "wss://example.com:444"),
        ("http://example.com/é%20x", "http://example.com/%C3%A9%20x"),
        ("http://my_service-1:3000/x", "http://my_service-1:3000/x"),
        ("http://_a.b.c./x", "http://_a.b.c./x"),
        ("http://bücher.example/x", "http://bücher.example/x"),
        ("http://[fe80::1%25eth0]:80/x", "http://[fe80::1%25eth0]/x"),
    ],
)
def test_normalise(url, normal):
    assert urls.normalise(url) == normal
    assert urls.normalise(normal) == normal


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:3000/x",
        "/api/inngest",
        "ftp://example.com",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://",
        "http://:80/x",
        "http://example.com:0/x",
        "http://example.com:99999/x",
        "http://example.com:abc/x",
        "http://[::1/x",
        "http://exa mple.com/x",
        "http://./x",
        "http://a..b/x",
        "http://-a/x",
        "http://a-/x",
        "http://<b>/x",
        "http://ex%61mple.com/x",
        "http://a\\b/x",
        "http://[::g]/x",
        "http://[v1.a:b]/x",
        f"http://{'a' * 64}/x",
        f"http://{'a.' * 127}/x",
        "http://example.com/\nx",
        "http://example.com/\0",
        "http://example.com/\ud800",
        "http://example.com/?a=%ff",
        "http://example.com/" + "x" * 2048,
    ],
)
def test_text_that_is_not_a_url_is_refused_with_its_field(url):
    with pytest.raises(Invalid) as caught:
        urls.normalise(url, field="functions[0].steps.step.runtime.url")
    assert caught.value.field == "functions[0].steps.step.runtime.url"
    assert caught.value.code == "config_invalid"
    assert caught.value.message.startswith("functions[0].steps.step.runtime.url ")


@given(st.text() | st.text().map(lambda text: "http://example.com/" + text))
def test_normalising_twice_changes_nothing(text):
    try:
        once = urls.normalise(text)
    except Invalid:
        return
    assert urls.normalise(once) == once


@pytest.mark.parametrize(
    ("url", "changed"),
    [
        (f"{BASE}?fnId=a&stepId=step", f"{BASE}?fnId=a&stepId=0f"),
        (f"{BASE}?stepId=step&fnId=a&x=%2F+y", f"{BASE}?stepId=0f&fnId=a&x=%2F+y"),
        (f"{BASE}?stepId=1&stepId=2&a=1", f"{BASE}?stepId=0f&a=1"),
        (f"{BASE}?fnId=a", f"{BASE}?fnId=a&stepId=0f"),
        (f"{BASE}?xstepId=step", f"{BASE}?xstepId=step&stepId=0f"),
        (BASE, f"{BASE}?stepId=0f"),
    ],
)
def test_with_step_replaces_only_the_step(url, changed):
    assert urls.with_step(url, "0f") == changed


def test_with_step_encodes_the_step():
    assert urls.with_step(f"{BASE}?stepId=s", "a&b /é") == f"{BASE}?stepId=a%26b%20%2F%C3%A9"


@pytest.mark.parametrize(
    ("url", "serve"),
    [
        (f"{BASE}?fnId=a&stepId=step", BASE),
        (f"{BASE}?fnId=a&k=1&stepId=step", f"{BASE}?k=1"),
        (BASE, BASE),
    ],
)
def test_serve_url(url, serve):
    assert urls.serve_url(url) == serve


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ("localhost:3000/api/inngest", "http://localhost:3000/api/inngest"),
        ("localhost", "http://localhost"),
        ("web:3000", "http://web:3000"),
        ("web/api/inngest", "http://web/api/inngest"),
        ("example.com", "http://example.com"),
        ("https://web", "https://web"),
    ],
)
def test_a_serve_endpoint_may_leave_the_scheme_out(given: str, place: str) -> None:
    assert urls.serve_endpoint(given) == place


@pytest.mark.parametrize(
    "given",
    [
        "",
        "nonsense",
        "/api/inngest",
        ":3000/x",
        "javascript:alert(1)",
        "a b/c",
        "ws://example.com",
        "ftp://example.com",
        "http://localhost/" + "x" * 1536,
    ],
)
def test_text_that_is_not_a_serve_endpoint_is_refused(given: str) -> None:
    with pytest.raises(Invalid) as caught:
        urls.serve_endpoint(given)
    assert caught.value.field == "url"
    assert caught.value.message.startswith("url ")
    assert "ws://" not in caught.value.message


def test_connect_is_distinguished_from_http():
    assert urls.is_connect("ws://x") and urls.is_connect("wss://x")
    assert not urls.is_connect("http://x")


def test_calls_of_a_function_at_another_endpoint() -> None:
    old = "http://a/api?x=1&fnId=app-f%20n&stepId=step"
    assert urls.at_endpoint(old, "http://b:2/c", "app-f n") == (
        "http://b:2/c?fnId=app-f%20n&stepId=step"
    )
    assert urls.at_endpoint("wss://connect", "http://b?k=v", "app-f n") == (
        "http://b?k=v&fnId=app-f+n&stepId=step"
    )
