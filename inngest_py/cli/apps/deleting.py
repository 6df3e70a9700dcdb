"""`apps delete`: delete an app with its history, which needs the database."""

from dataclasses import replace
from datetime import UTC, datetime

import click

from ...engine.apps import erasing
from ...engine.runtime.audit import SHELL
from ...storage.schema import migrate
from .. import databases, options
from ..system_user import user


@click.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@options.database
def delete(name: str, yes: bool, **flags: object) -> None:
    """Delete an app, its functions and all their runs for good.

    Apps that are removed over the API or the dashboard are archived, which loses nothing.
    """
    with databases.opened(flags) as database:
        migrate.prepare(database)
        doomed = erasing.preview(database, name)
        text = f"{name}: {doomed.functions} functions and {doomed.runs} runs are deleted for good"
        if not yes:
            click.echo(text, err=True)
            if click.prompt("Type the app's name to continue", err=True) != name:
                raise click.ClickException("this is not the app's name: nothing was deleted")
        erased = erasing.erase(database, name, datetime.now(UTC), replace(SHELL, claim=user()))
    click.echo(f"{name} is deleted, with {erased} runs")
