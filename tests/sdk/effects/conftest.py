"""The database of an app: each test has one of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy import Engine

from inngest_py.sdk import transactions
from inngest_py.sdk.transactions import sweeping
from tests import mariadb as mariadb_server
from tests.mariadb import MariaDb
from tests.servers import Postgres

from .killing import quicken


@pytest.fixture(scope="package")
def mariadb() -> Iterator[MariaDb]:
    """One server for all tests; they are skipped where Debian's package is missing."""
    if mariadb_server.MISSING:
        pytest.skip("no mariadbd here: `make servers` installs it")
    server = MariaDb()
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database, for SQLAlchemy."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/app.db"
        return
    if request.param == "mysql":
        server: MariaDb = request.getfixturevalue("mariadb")
        yield server.create_database()
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    made = postgres.create_database()
    yield made.replace("postgresql:", "postgresql+psycopg2:")
    postgres.drop_database(made)


@pytest.fixture
def engine(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """An engine; its database has the table of transactions, and one for effects."""
    monkeypatch.setattr(sweeping, "_ODDS", 0.0)
    made = sqlalchemy.create_engine(url, pool_size=10)
    quicken(made)
    transactions.create_table(made)
    with made.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE effects (number BIGINT)"))
    yield made
    made.dispose()
