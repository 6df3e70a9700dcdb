"""Headers for browsers: CORS for open routes, and HSTS behind a proxy that ends TLS."""

import pytest

from tests.api.conftest import Service

OPEN = ("/e/key", "/invoke/app-fn", "/health", "/v1/checkpoint/x/output", "/v1/http/runs/x/output")
PREFLIGHT = {
    "Origin": "https://shop.example",
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "content-type, x-inngest-sdk",
}


@pytest.mark.parametrize("dev", [True, False])
@pytest.mark.parametrize("path", OPEN)
def test_a_preflight_is_answered_where_cors_is_open(lasting: Service, path: str, dev: bool) -> None:
    client = lasting.with_settings(dev=dev, signing_key="ab" * 16, event_keys=("k",))
    answered = client.options(path, headers=PREFLIGHT)
    assert answered.status_code in (200, 204)
    assert answered.headers["Access-Control-Allow-Origin"] == "*"
    allowed = answered.headers["Access-Control-Allow-Headers"]
    assert allowed == "content-type, x-inngest-sdk"
    assert "GET" in answered.headers["Access-Control-Allow-Methods"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/e/key", 405),
        ("GET", "/e/key", 405),
        ("POST", "/e/", 404),
        ("GET", "/invoke/app-fn", 405),
        ("POST", "/e/wrong", 401),
    ],
)
def test_a_browser_may_read_what_is_wrong(
    lasting: Service, method: str, path: str, status: int
) -> None:
    client = lasting.with_settings(dev=False, signing_key="ab" * 16, event_keys=("k",))
    answered = client.open(path, method=method, headers=PREFLIGHT)
    assert answered.status_code == status
    assert answered.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("path", ["/api/v1/runs", "/v0/gql", "/fn/register", "/metrics"])
def test_routes_with_the_signing_key_have_no_cors(lasting: Service, path: str) -> None:
    answered = lasting.client.options(path, headers=PREFLIGHT)
    assert "Access-Control-Allow-Origin" not in answered.headers


@pytest.mark.parametrize(
    ("proxies", "said", "hsts"),
    [
        (("127.0.0.1",), "https", True),
        (("127.0.0.1",), "http", False),
        (("192.0.2.7",), "https", False),
        ((), "https", False),
    ],
)
def test_hsts_where_a_trusted_proxy_says_https(
    lasting: Service, proxies: tuple[str, ...], said: str, hsts: bool
) -> None:
    client = lasting.with_settings(ui_proxies=proxies)
    for path in ("/health", "/nothing", "/e/key"):
        answered = client.get(path, headers={"X-Forwarded-Proto": said})
        assert ("Strict-Transport-Security" in answered.headers) == hsts
