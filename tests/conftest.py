"""Real servers for every test: started once a session, one fresh database each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from inngest_py.storage.session import Database

from .engine.harness import prepared
from .servers import Postgres, Valkey


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The session's PostgreSQL. A test that stops it must start it again."""
    server = Postgres()
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture
def postgres_url(postgres: Postgres) -> str:
    """The URL of a fresh, empty database for this test alone."""
    return postgres.create_database()


@pytest.fixture(scope="module")
def module_postgres_url(postgres: Postgres) -> str:
    """The URL of a fresh, empty database for this module alone."""
    return postgres.create_database()


@pytest.fixture(scope="session")
def session_valkey() -> Iterator[Valkey]:
    """The session's Valkey, not emptied between tests."""
    server = Valkey()
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture
def valkey(session_valkey: Valkey) -> Valkey:
    """The session's Valkey, running and empty."""
    if not session_valkey.answers():
        session_valkey.start()
    session_valkey.flush()
    return session_valkey


@pytest.fixture(params=["sqlite", "postgresql"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A fresh database of each kind, its schema up to date."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'test.db'}"
    else:
        url = request.getfixturevalue("postgres_url")
    made = prepared(url)
    yield made
    made.close()
