"""Names that tables had in the last release, as views: its processes may run beside ours.

PostgreSQL reads, writes and locks the table itself through such a view. SQLite inserts into no view
with ON CONFLICT, so a migration that renames a table there breaks the last release.
"""

from sqlalchemy import Connection, text

from ..db.dialects import is_sqlite

_VIEWS = (
    "CREATE VIEW pauses AS SELECT * FROM waits",  # its migration, 0026, says when it may go
)
NAMES = frozenset({"pauses"})


def add_views(connection: Connection) -> None:
    """Make the views in a database whose tables have just been made from the models."""
    if not is_sqlite(connection):
        for view in _VIEWS:
            connection.execute(text(view))
