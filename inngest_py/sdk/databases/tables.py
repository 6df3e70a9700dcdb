"""Tables in the databases of apps: their SQL in each dialect, made by a function or printed."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from .choose import choose
from .database import DIALECTS, Database

# SQLite gives ids in order only to this type; `AUTOINCREMENT` keeps it from using one again
_SERIAL = {
    "postgresql": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    "mysql": "BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY",
    "sqlite": "INTEGER PRIMARY KEY AUTOINCREMENT",
}
# ids are compared as bytes; MySQL would else take `A` and `a` for the same
_KEY = {
    "postgresql": "VARCHAR(64)",
    "mysql": "VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin",
    "sqlite": "VARCHAR(64)",
}
_TEXT = {
    "postgresql": "VARCHAR(255)",
    "mysql": "VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
    "sqlite": "VARCHAR(255)",
}
_LONG = {"postgresql": "TEXT", "mysql": "LONGTEXT CHARACTER SET utf8mb4", "sqlite": "TEXT"}


@dataclass(frozen=True, slots=True)
class Table:
    """One table."""

    name: str
    columns: str
    """One a line; `{serial}`, `{key_64}`, `{text_255}`, `{long}` stand for types that differ."""
    index: str
    """Its columns."""
    made_by: str
    """The module that has create_table()."""

    def statements(self, dialect: str) -> list[str]:
        """List what makes it, if it is not there yet."""
        if dialect not in DIALECTS:
            known = ", ".join(DIALECTS)
            raise ValueError(f"dialect: must be one of {known}, not {dialect!r}")
        types = {"serial": _SERIAL[dialect], "long": _LONG[dialect]}
        types |= {"key_64": _KEY[dialect], "text_255": _TEXT[dialect]}
        body = self.columns.strip().format(**types)
        name, index = self.name, f"{self.name}_due"
        if dialect == "mysql":
            body += f",\n    INDEX {index} ({self.index})"
            return [f"CREATE TABLE IF NOT EXISTS {name} (\n    {body}\n) ENGINE=InnoDB"]
        return [
            f"CREATE TABLE IF NOT EXISTS {name} (\n    {body}\n)",
            f"CREATE INDEX IF NOT EXISTS {index} ON {name} ({self.index})",
        ]

    def sql(self, dialect: str) -> str:
        """Write it as a script."""
        return "".join(f"{statement};\n" for statement in self.statements(dialect))

    def create(self, database: Database) -> None:
        """Make it, unless it is there."""
        try:
            self._create(database)
        except Exception as error:
            # PostgreSQL: two that make it at the same time meet in its catalogue
            if not database.is_duplicate(error):
                raise
            self._create(database)

    def _create(self, database: Database) -> None:
        with database.begin() as transaction:
            for statement in self.statements(transaction.dialect):
                transaction.execute(statement)

    def missing(self, database: Database) -> str | None:
        """Say what to do if the table is not there; None if it is."""
        if database.has_table(self.name):
            return None
        return (
            f"the database has no table {self.name}: call {self.made_by}.create_table() before,"
            f" or run the SQL of `python -m {self.made_by} sql --dialect {'|'.join(DIALECTS)}`"
        )

    def missing_in(self, target: object) -> str | None:
        """Say the same of what an app passes as its database."""
        return self.missing(choose(target, "database"))

    def main(self, arguments: Sequence[str] | None = None) -> None:
        """Print the SQL: the command line of the module."""
        parser = argparse.ArgumentParser(prog=f"python -m {self.made_by}")
        commands = parser.add_subparsers(required=True)
        command = commands.add_parser("sql", help=f"print the SQL that makes {self.name}")
        command.add_argument("--dialect", choices=DIALECTS, required=True)
        sys.stdout.write(self.sql(parser.parse_args(arguments).dialect))
