"""Real servers for every test: started once a session, one fresh database each."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

from inngest_py.loading import without_collections
from inngest_py.storage.db.session import Database
from inngest_py.tasks.worker.garbage import freeze_objects

from .databases import copied
from .engine.harness import prepared
from .routes import make_at_first_use
from .scheduling import SharedScheduling, group, mixed
from .servers import Postgres, Valkey

# A shared machine may stand still for a second: the deadline of an example, and the second that
# Hypothesis derives from it for the making of ten examples, fail tests that are not slow. Without
# a deadline it allows half a minute.
settings.register_profile("shared machine", parent=settings.default, deadline=None)
settings.load_profile("shared machine")
make_at_first_use()

# Tests begin without settings, whatever the shell has: with INNGEST_DEV, a command that must be
# refused starts a server, or turns the process of the tests into a worker.
_OWN = "INNGEST_KILLS"  # a setting of the tests themselves


def _settings() -> dict[str, str]:
    return {
        name: os.environ[name]
        for name in os.environ
        if name.startswith("INNGEST_") and name != _OWN
    }


for _name in _settings():
    del os.environ[_name]


@pytest.fixture(autouse=True)
def _leaves_no_settings() -> Iterator[None]:
    """Fail a test that leaves settings in the environment of those that come after it."""
    before = _settings()
    yield
    if (after := _settings()) != before:
        for name in after:
            del os.environ[name]
        os.environ.update(before)
        pytest.fail(f"the test has left in the environment: {sorted(after)}")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep what is made here out of garbage collections, which took a fifth of the tests' CPU."""
    with without_collections():
        found = yield
    freeze_objects()
    return found


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    """Give tests to processes by what they share, under `--dist loadfile`."""
    return SharedScheduling(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mix what waits with what computes, in the processes among which xdist shares the tests."""
    if hasattr(config, "workerinput"):
        groups = mixed(dict.fromkeys(group(item.nodeid) for item in items))
        items.sort(key=lambda item: groups.index(group(item.nodeid)))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The session's PostgreSQL. A test that stops it must start it again."""
    server = Postgres(durable=False)
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture(scope="session")
def migrated_postgres(postgres: Postgres) -> str:
    """The URL of a database whose schema is up to date, for copies of it."""
    url = postgres.create_database()
    prepared(url).close()
    return url


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file whose schema is up to date, for copies of it."""
    path = tmp_path_factory.mktemp("migrated") / "test.db"
    prepared(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """The URL of a fresh, empty database for this test alone."""
    url = postgres.create_database()
    yield url
    postgres.drop_database(url)


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
    with copied(request, request.param, tmp_path) as made:
        yield made
