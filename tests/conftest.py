"""Real servers for every test: started once a session, one fresh database each."""

from collections.abc import Iterator

import pytest

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
