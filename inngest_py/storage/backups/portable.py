"""Backups of our own form: of either database, for either database, in one snapshot."""

from contextlib import closing
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection

from ...domain.errors import Conflict
from ..db.dialects import empty
from ..db.session import Database, lift_time_limits
from ..db.snapshots import snapshot
from ..schema import migrate
from . import rows, shapes, targets
from .archive import Archive, Writer


def save(db: Database, file: Path, at: datetime) -> None:
    """Write all rows into a new file. Raises Conflict when the schema is not this version's."""
    with snapshot(db) as tx:
        revision = migrate.revision_of(tx)
        if revision != (mine := migrate.head()):
            raise Conflict(
                f"the schema is at {revision}, and this version writes backups of its own form at"
                f" {mine}: run inngest-py db upgrade, or back up with the version of the servers"
            )
        writer = Writer(file)
        for table in shapes.ordered():
            writer.add(shapes.shape(table), rows.pages(tx, table))
        writer.close(revision, db.url.get_backend_name(), at)


def check(file: Path) -> str:
    """Read a whole file; return the schema's revision in it. Raises Invalid if it is damaged."""
    with closing(Archive(file)) as archive:
        archive.check()
        return archive.revision


def load(db: Database, file: Path) -> None:
    """Replace all rows of the database by those of a file, in one transaction.

    A schema of another revision is made anew first; afterwards it has the file's.
    """
    with closing(Archive(file)) as archive:
        at = migrate.current(db)
        if at != archive.revision:
            targets.clear(db)
            migrate.make(db, archive.revision)
        with db.transaction() as tx:
            lift_time_limits(tx)
            _load(tx, archive)


def _load(tx: Connection, archive: Archive) -> None:
    made = [content.shape.table() for content in archive.contents]
    empty(tx, made[::-1])
    for content, table in zip(archive.contents, made, strict=True):
        for page in archive.pages(content.shape):
            rows.write(tx, table, page)
    rows.set_counters(tx, made)
