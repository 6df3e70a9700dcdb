"""`apps`: list apps, and delete an app with its history, which only this command can do."""

from dataclasses import replace
from datetime import UTC, datetime

import click

from ..engine.apps import erasing
from ..engine.runtime.audit import SHELL
from ..storage.queries import app_list
from ..storage.schema import migrate
from . import databases, options
from .system_user import user


@click.group()
def apps() -> None:
    """Look at apps; delete one with its history."""


@apps.command("list")
@options.database
def list_(**flags: object) -> None:
    """List the apps that are in use: name, URL, and what is wrong with them."""
    with databases.opened(flags) as database:
        migrate.prepare(database)
        with database.reading() as tx:
            for row in app_list.every(tx):
                wrong = f"down: {row['down_cause']}" if row["down_since"] else row["error"] or ""
                click.echo(f"{row['name'] or '-':<32}  {row['url']}  {wrong}".rstrip())


@apps.command()
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
