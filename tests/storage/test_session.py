"""Which driver is used for a URL, and which errors of the database are outages."""

import pytest
from sqlalchemy.exc import DBAPIError

from inngest_py.storage.db.meta import Meta
from inngest_py.storage.db.outages import outage
from inngest_py.storage.db.session import Database
from tests.servers import Postgres


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg2"])
def test_postgresql_is_reached_through_psycopg2(scheme: str) -> None:
    db = Database(f"{scheme}://nobody@127.0.0.1:1/x")
    assert db.engine.driver == "psycopg2"
    db.close()


def test_database_that_is_away_is_an_outage(postgres: Postgres) -> None:
    db = Database("postgresql://nobody@127.0.0.1:1/x")
    with pytest.raises(DBAPIError) as caught, db.reading():
        pass
    assert outage(caught.value)
    db.close()


def test_missing_table_is_no_outage(postgres_url: str) -> None:
    db = Database(postgres_url)
    with pytest.raises(DBAPIError) as caught, db.reading() as tx:
        tx.execute(Meta.__table__.select())
    assert not outage(caught.value)
    db.close()
