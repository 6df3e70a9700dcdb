"""Callers with a wrong key are logged, with one line per minute and kind of key."""

from typing import Any

import pytest

from inngest_py.api.refusals import EXTENSION, Refusals
from inngest_py.storage.db.session import Database
from tests.api.conftest import Service


def _lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    records: list[Any] = [one for one in caplog.records if one.message == "api.key_refused"]
    return [record.fields for record in records]


def test_wrong_keys_are_logged_once_per_minute_and_kind(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    service = Service(db, dev=False, event_keys=("right",), signing_key="abcdef")
    client, now = service.client, 0.0
    service.app.extensions[EXTENSION] = Refusals(clock=lambda: now)
    for _ in range(5):
        assert client.post("/e/secret-that-is-wrong", json={"name": "a/b"}).status_code == 401
    for token in ("wrong", "wronger"):
        headers = {"Authorization": f"Bearer {token}"}
        assert client.get("/v1/events", headers=headers).status_code == 401
    first = {"key": "event key", "route": "/e/<path:key>", "address": "127.0.0.1", "more": 0}
    second = {"key": "signing key", "route": "/v1/events", "address": "127.0.0.1", "more": 0}
    assert _lines(caplog) == [first, second]
    now = 61.0
    client.post("/e/secret-that-is-wrong", json={"name": "a/b"})
    assert _lines(caplog)[2:] == [first | {"more": 4}]
    assert client.post("/e/right", json={"name": "a/b"}).status_code == 200
    assert len(_lines(caplog)) == 3
    assert not any("wrong" in str(record.__dict__) for record in caplog.records)


def test_behind_a_trusted_proxy_the_address_is_the_callers(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    service = Service(db, dev=False, signing_key="abcdef", ui_proxies=("127.0.0.0/8",))
    headers = {"X-Forwarded-For": "10.9.9.9, 192.0.2.7"}
    assert service.client.get("/v1/events", headers=headers).status_code == 401
    assert [line["address"] for line in _lines(caplog)] == ["192.0.2.7"]
