"""`db`: the schema."""

from typing import Any

import click

from ..storage import migrate
from ..storage.session import Database
from . import options


@click.group()
def db() -> None:
    """Look after the database's schema."""


@db.command()
@options.shared
def upgrade(**flags: Any) -> None:
    """Bring the schema up to date."""
    settings = options.settings_of(flags)
    database = Database(settings.database_url)
    migrate.upgrade(database)
    click.echo(f"the schema is at {migrate.current(database)}")
    database.close()
