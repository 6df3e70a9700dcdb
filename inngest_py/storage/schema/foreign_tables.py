"""Refuse a database of another program, before our tables are made in it."""

import re

from sqlalchemy import Connection, inspect, text

from ...domain.errors import Conflict
from .tables import Base

REVISION = re.compile(r"\d{4}")  # ours have 4 digits; Alembic's default has 12 hexadecimal digits
_MOST_NAMED = 5


def refuse(connection: Connection) -> None:
    """Raise Conflict when another program has tables with names of ours, or uses Alembic.

    Its tables with other names do no harm.
    """
    found = set(inspect(connection).get_table_names())
    clash = sorted(found & set(Base.metadata.tables))
    if "alembic_version" in found:
        at = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        if at is None or (REVISION.fullmatch(at) and clash):
            return
        clash = ["alembic_version"]
    if clash:
        more = " …" if len(clash) > _MOST_NAMED else ""
        raise Conflict(
            f"the database has tables of another program ({', '.join(clash[:_MOST_NAMED])}{more}):"
            " give inngest-py a database of its own (--database-url)"
        )
