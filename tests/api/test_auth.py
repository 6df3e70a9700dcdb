"""Every route asks for the signing key, except those that are listed as open (auth.md §1.2)."""

from typing import Any

import pytest

from inngest_py.api.auth import OPEN
from inngest_py.domain.access import signatures
from inngest_py.storage.db.session import Database
from tests.api.conftest import Service
from tests.api.test_bad_requests import UNKNOWN, calls, urls_of

KEY = "signkey-prod-0123456789abcdef"
FALLBACK = "fedcba9876543210"
KEYS: dict[str, Any] = {"dev": False, "event_keys": ("k", "l"), "signing_key": KEY}
ODD = ("undefined", "null", "", " ", "ü", "signkey-prod-", "0" * 64, KEY + "0", "x" * 5000)
SENT = [None, "Bearer", *(f"Bearer {odd}" for odd in ODD)]
SENT += ["Basic " + signatures.bearer(KEY), signatures.bearer(KEY), KEY, f"Bearer {FALLBACK}"]
# Documented as open: /e asks for an event key, an output for its run's own token, and realtime for
# tokens of its own (test_realtime.py, test_realtime_session.py); the others show nothing of the
# installation.
DOCUMENTED = {
    "/e/<path:key>",
    "/invoke/<path:slug>",
    "/health",
    "/health/live",
    "/health/ready",
    "/v1/checkpoint/<run_id>/output",
    "/v1/http/runs/<run_id>/output",
    "/v1/realtime/connect",
    "/v1/realtime/sse",
    "/v1/realtime/publish",
    "/v1/realtime/publish/tee",
    "/api/openapi.json",
    "/api/docs",
    "/api/docs-files/<path:name>",
}


def headers(sent: str | None) -> dict[str, str]:
    return {} if sent is None else {"Authorization": sent}


@pytest.fixture
def guarded(db: Database) -> Service:
    """A production server with its keys."""
    return Service(db, **KEYS)


def test_the_open_routes_are_the_documented_ones() -> None:
    assert OPEN == DOCUMENTED


def test_every_other_route_refuses_callers_without_the_key(guarded: Service) -> None:
    seen = 0
    for method, rule in calls(guarded):
        for sent in SENT if rule.rule not in DOCUMENTED else ():
            url = urls_of(rule, UNKNOWN)
            answered = guarded.client.open(url, method=method, headers=headers(sent), data=b"{")
            found = (answered.status_code, answered.text, answered.mimetype)
            assert found == (401, "Authentication failed", "text/plain"), f"{method} {url} {sent}"
            seen += 1
    assert seen > 15 * len(SENT)


def test_open_routes_ask_for_no_signing_key(guarded: Service) -> None:
    for method, rule in calls(guarded):
        if rule.rule in DOCUMENTED:
            answered = guarded.client.open(urls_of(rule, "k"), method=method, json={"name": "a/b"})
            # the middleware's refusal is plain text; a route's own is JSON
            assert answered.text != "Authentication failed", f"{method} {rule.rule}"
            answered.close()


@pytest.mark.parametrize("fallback", [None, FALLBACK])
def test_keys_are_accepted_hashed_or_plain_with_any_prefix(
    service: Service, fallback: str | None
) -> None:
    client = service.with_settings(**KEYS, signing_key_fallback=fallback)
    for key in (KEY, FALLBACK):
        allowed = key == KEY or fallback is not None
        for token in (signatures.bearer(key), signatures.strip_prefix(key)):
            for prefix in ("", "signkey-prod-", "signkey-branch-"):
                for scheme in ("Bearer ", "bearer ", "Bearer  "):
                    sent = headers(f"{scheme}{prefix}{token}")
                    found = client.get("/v1/events", headers=sent).status_code
                    assert found == (200 if allowed else 401), sent


@pytest.mark.parametrize("keys", [{}, {"signing_key": KEY, "event_keys": ("k",)}])
def test_dev_accepts_any_key(service: Service, keys: dict[str, Any]) -> None:
    client = service.with_settings(dev=True, **keys)
    for sent in SENT:
        assert client.get("/v1/events", headers=headers(sent)).status_code == 200
        assert client.get("/dev", headers=headers(sent)).status_code == 200
        answered = client.post("/fn/register", json={"appName": "a", "url": "http://a/b"})
        assert answered.status_code == 200
        assert client.post("/e/NO_EVENT_KEY_SET", json={"name": "a/b"}).status_code == 200
