"""`db`: the schema."""

from typing import Any

import click

from ..storage import migrate
from . import databases, options


@click.group()
def db() -> None:
    """Look after the database's schema."""


@db.command()
@options.database
def upgrade(**flags: Any) -> None:
    """Bring the schema up to date."""
    with databases.opened(flags) as database:
        migrate.upgrade(database)
        click.echo(f"the schema is at {migrate.current(database)}")
