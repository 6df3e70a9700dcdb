"""`db`: upgrade the schema of the database."""

import click

from ..storage.schema import migrate
from . import databases, options


@click.group()
def db() -> None:
    """Look after the database's schema."""


@db.command()
@options.database
def upgrade(**flags: object) -> None:
    """Bring the schema up to date."""
    with databases.opened(flags) as database:
        migrate.upgrade(database)
        at = migrate.current(database)
        newer = f", newer than this version's {migrate.head()}, which can use it"
        click.echo(f"the schema is at {at}{newer if migrate.is_newer(at) else ''}")
