"""A SQLite file that may not grow: what a full disk is to SQLite."""

from sqlalchemy import Connection, event

from inngest_py.storage.db.session import Database


class Full:
    """A SQLite file that may not grow any more."""

    def __init__(self, db: Database) -> None:
        self.refuses = False
        event.listen(db.engine, "begin", self._limit)

    def _limit(self, connection: Connection) -> None:
        # SQLite takes what is less than the present size for that
        most = 1 if self.refuses else 4_000_000_000
        driver = connection.connection.dbapi_connection
        assert driver is not None
        driver.cursor().execute(f"PRAGMA max_page_count={most}")

    def __call__(self, db: Database, refuses: bool) -> None:
        self.refuses = refuses
