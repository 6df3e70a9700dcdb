"""Databases that are somebody else's: found before our tables are made among theirs."""

import re

from sqlalchemy import Connection, inspect, text

from ...domain.errors import Conflict
from .tables import Base

REVISION = re.compile(r"\d{4}")  # ours are numbers; Alembic's own are 12 hexadecimal digits
_MOST_NAMED = 5


def refuse(connection: Connection) -> None:
    """Look at the tables of a database. Raises Conflict when they are another program's.

    Tables beside ours are nobody's business, but names that both use are.
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
