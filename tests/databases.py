"""Fresh databases for tests: copies of one that was migrated once a session."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from inngest_py.storage.db.session import Database

from .engine.harness import opened
from .servers import Postgres


@contextmanager
def copied(request: pytest.FixtureRequest, kind: str, folder: Path) -> Iterator[Database]:
    """Open a fresh database of the kind, its schema up to date."""
    if kind == "sqlite":
        path = shutil.copy(request.getfixturevalue("migrated_sqlite"), folder / "test.db")
        made = opened(f"sqlite:///{path}")
        yield made
        made.close()
        return
    server: Postgres = request.getfixturevalue("postgres")
    url = server.create_database(like=request.getfixturevalue("migrated_postgres"))
    made = opened(url)
    yield made
    made.close()
    server.drop_database(url)
