"""Django in a process of a test: its one database, by the URL that SQLAlchemy has for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import django
from django.conf import settings
from django.db import connection
from sqlalchemy.engine import make_url

from .killing import Points

_ENGINES = {"sqlite": "sqlite3", "postgresql": "postgresql", "mysql": "mysql"}


def configure(url: str) -> None:
    """Make the database of that URL Django's default one."""
    where = make_url(url)
    options = _take_a_driver() if where.get_backend_name() == "mysql" else {}
    database = {
        "ENGINE": f"django.db.backends.{_ENGINES[where.get_backend_name()]}",
        "NAME": where.database,
        "HOST": where.host or "",
        "PORT": where.port or "",
        "USER": where.username or "",
        "OPTIONS": options,
    }
    settings.configure(DATABASES={"default": database}, USE_TZ=True)
    django.setup()


def _take_a_driver() -> dict[str, object]:
    """Django wants mysqlclient, which has no wheel for Linux; PyMySQL stands in for it."""
    try:
        import MySQLdb  # noqa: F401  # where somebody has built it, it is what is tested
    except ImportError:
        import pymysql

        pymysql.install_as_MySQLdb()
        return {"ssl_disabled": True}  # as in engine_of()
    return {}


def execute(sql: str, *values: object) -> list[Any]:
    """Run a statement on Django's connection."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall() if cursor.description else []


@contextmanager
def watched(points: Points) -> Iterator[None]:
    """Make a point before and after each statement and each commit of this thread."""

    def wrapper(run: Any, sql: str, *args: Any) -> Any:
        name = sql.split(maxsplit=1)[0]
        points.passed(f"before {name}")
        found = run(sql, *args)
        points.passed(f"after {name}")
        return found

    points.wrap(connection, "_commit", "COMMIT")
    with connection.execute_wrapper(wrapper):
        yield
