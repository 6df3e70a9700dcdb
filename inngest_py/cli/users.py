"""`users`: the users of the dashboard, their roles and passwords."""

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
from .client import print_json
from .system_user import user


@click.group()
def users() -> None:
    """Look after the users of the dashboard."""


@contextmanager
def database_of(flags: dict[str, object]) -> Iterator[Database]:
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


def actor() -> Actor:
    """Return who runs the command, for the audit log."""
    return replace(SHELL, claim=user())


@users.command()
@click.argument("name")
@click.option(
    "--role", type=click.Choice([*map(str, Role)]), default=Role.VIEWER.value, show_default=True
)
@options.answering
def add(name: str, role: Role, **flags: object) -> None:
    """Add a user; the password is asked for, or read from the standard input."""
    with database_of(flags) as database:
        accounts.add(database, name, _password(), Role(role), datetime.now(UTC), actor())
    tell({"name": name, "role": Role(role).value}, f"{name} is {Role(role).value}", flags)


def tell(found: object, text: str, flags: dict[str, object]) -> None:
    """Print a text, or with --json what it says; then the logs are JSON, too."""
    if flags["json_logs"]:
        print_json(found)
    elif text:
        click.echo(text)


@users.command("list")
@options.answering
def list_(**flags: object) -> None:
    """List the users with their roles."""
    with database_of(flags) as database:
        found = accounts.every(database)
    lines = [f"{one.name:<32}  {one.role}" for one in found]
    tell([{"name": one.name, "role": one.role} for one in found], "\n".join(lines), flags)


@users.command()
@click.argument("name")
@options.answering
def remove(name: str, **flags: object) -> None:
    """Remove a user, and end the user's logins."""
    with database_of(flags) as database:
        accounts.remove(database, name, datetime.now(UTC), actor())
    tell({"name": name}, f"{name} is removed", flags)


@users.command("role")
@click.argument("name")
@click.argument("role", type=click.Choice([*map(str, Role)]))
@options.answering
def role_(name: str, role: Role, **flags: object) -> None:
    """Change a user's role."""
    with database_of(flags) as database:
        accounts.change_role(database, name, Role(role), datetime.now(UTC), actor())
    tell({"name": name, "role": Role(role).value}, f"{name} is {Role(role).value}", flags)


@users.command()
@click.argument("name")
@options.answering
def passwd(name: str, **flags: object) -> None:
    """Change a user's password, and end the user's logins."""
    with database_of(flags) as database:
        accounts.change_password(database, name, _password(), datetime.now(UTC), actor())
    tell({"name": name}, f"the password of {name} is changed", flags)
