"""Requests to a server whose database refuses writes: 503 at once, with the reason."""

import time

import pytest
from sqlalchemy import text

from inngest_py.storage.db.session import Database
from tests.api.conftest import Service
from tests.full import Full

RAISES = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'could not extend file "base/1/2": No space left' USING ERRCODE = '{code}';
END $$;
CREATE TRIGGER refuses BEFORE INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION refuse()
"""
BIG = {"name": "a/b", "data": {"text": "x" * 500_000}}


def refused(service: Service, word: str) -> None:
    """Send an event that cannot be stored; the answer and health say why."""
    begun = time.monotonic()
    answered = service.send(BIG)
    assert time.monotonic() - begun < 5
    assert answered.status_code == 503
    assert word in answered.json["error"] and answered.json["ids"] == []
    told = service.client.get("/health")
    assert (told.status_code, told.json["database"]) == (503, "refuses writes")
    assert word in told.json["message"] and "base/1/2" not in told.text


@pytest.mark.parametrize(("code", "word"), [("53100", "disk is full"), ("25006", "read-only")])
def test_an_event_that_postgresql_refuses(
    service: Service, db: Database, code: str, word: str, caplog: pytest.LogCaptureFixture
) -> None:
    if db.is_sqlite:
        pytest.skip("SQLite has no such errors")
    with db.transaction() as tx:
        tx.execute(text(RAISES.format(code=code)))
    refused(service, word)
    told = [getattr(r, "fields", {}) for r in caplog.records if r.message == "database.away"]
    assert [one["error"] for one in told] == ['could not extend file "base/1/2": No space left']
    with db.transaction() as tx:
        tx.execute(text("DROP FUNCTION refuse() CASCADE"))
    assert service.send(BIG).status_code == 200
    assert service.client.get("/health").status_code == 200


def test_an_event_that_does_not_fit_the_disk(
    service: Service, db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    if not db.is_sqlite:
        pytest.skip("PostgreSQL says so by a code")
    full = Full(db)
    full.refuses = True
    refused(service, "disk is full")
    assert "database or disk is full" in caplog.text or any(
        "disk is full" in str(getattr(r, "fields", "")) for r in caplog.records
    )
    full.refuses = False
    assert service.send(BIG).status_code == 200
    assert service.client.get("/health").status_code == 200
