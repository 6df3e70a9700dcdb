"""`users`: add, list and remove the users of the dashboard, and change passwords."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import click

from ..domain.access.roles import Role
from ..engine.admin import accounts
from ..engine.runtime.audit import SHELL, Actor
from ..storage.db.session import Database
from ..storage.schema import migrate
from . import databases, options
from .system_user import user


@click.group()
def users() -> None:
    """Look after the users of the dashboard."""


@contextmanager
def _database(flags: dict[str, object]) -> Iterator[Database]:
    """Open the database and bring its schema up to date."""
    with databases.opened(flags) as database:
        migrate.prepare(database)
        yield database


def _password() -> str:
    """Ask for a password, or read a line of standard input. Others could see an argument."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    typed: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return typed


def _actor() -> Actor:
    return replace(SHELL, claim=user())


@users.command()
@click.argument("name")
@click.option(
    "--role", type=click.Choice([*map(str, Role)]), default=Role.VIEWER.value, show_default=True
)
@options.database
def add(name: str, role: Role, **flags: object) -> None:
    """Add a user; the password is asked for, or read from the standard input."""
    with _database(flags) as database:
        accounts.add(database, name, _password(), Role(role), datetime.now(UTC), _actor())
    click.echo(f"{name} is {Role(role).value}")


@users.command("list")
@options.database
def list_(**flags: object) -> None:
    """List the users with their roles."""
    with _database(flags) as database:
        for name, role in accounts.every(database):
            click.echo(f"{name:<32}  {role}")


@users.command()
@click.argument("name")
@options.database
def remove(name: str, **flags: object) -> None:
    """Remove a user, and end the user's logins."""
    with _database(flags) as database:
        accounts.remove(database, name, datetime.now(UTC), _actor())
    click.echo(f"{name} is removed")


@users.command()
@click.argument("name")
@options.database
def passwd(name: str, **flags: object) -> None:
    """Change a user's password, and end the user's logins."""
    with _database(flags) as database:
        accounts.change_password(database, name, _password(), datetime.now(UTC), _actor())
    click.echo(f"the password of {name} is changed")
