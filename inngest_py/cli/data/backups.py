"""`backup` and `restore`: a whole installation, in a file."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from ...storage.backups import backups
from ...storage.backups.backups import Form, Restored
from .. import databases, options
from ..client import print_json

_FORMS = {
    Form.SQLITE: "a copy of SQLite's file",
    Form.PG_DUMP: "made by pg_dump",
    Form.ROWS: "rows in JSON lines, for SQLite and PostgreSQL",
}
_MEGABYTE = 1_000_000


@click.command()
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--portable", is_flag=True, help="Write a file that either database can restore.")
@databases.db_option
@options.answering
def backup(path: Path, portable: bool, **flags: object) -> None:
    """Back the whole installation up into FILE, while it works.

    The file has everything, secrets too: only its owner can read it.
    """
    with databases.opened(flags, must_exist=True) as database:
        made = backups.save(database, path, datetime.now(UTC), as_rows=portable)
    if flags["json_logs"]:
        print_json({"file": str(path), **asdict(made)})
        return
    because = f" ({made.why})" if made.why else ""
    click.echo(f"{path}: {made.bytes / _MEGABYTE:.1f} MB, {_FORMS[made.form]}{because}")


@click.command()
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--replace", is_flag=True, help="Delete all that the database has.")
@databases.db_option
@options.answering
def restore(path: Path, replace: bool, **flags: object) -> None:
    """Bring back what a FILE of backup has, into an empty database that nobody uses.

    The schema is brought up to date. What was in flight at the time of the backup goes on when
    servers are started.
    """
    if not path.exists():
        raise click.BadParameter(f"there is no file {path}", param_hint="FILE")
    with databases.opened(flags) as database:
        restored = backups.restore(database, path, replace=replace)
    if flags["json_logs"]:
        print_json({"file": str(path), **asdict(restored)})
    else:
        click.echo(_told(path, restored))


def _told(file: Path, restored: Restored) -> str:
    at, now_at = restored.revision, restored.now_at
    moved = f"its schema {at} was upgraded to {now_at}"
    runs = f"{restored.runs} runs, of which {restored.live} have not ended"
    found = f"{restored.functions} functions, {restored.events} events, {runs}"
    return f"{file}: {found}; {f'the schema is at {at}' if at == now_at else moved}"
