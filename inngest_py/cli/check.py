"""`check`: everything that is wrong with a configuration, each with its fix."""

import os
from pathlib import Path
from typing import Any

import click
from sqlalchemy.exc import SQLAlchemyError

from ..config import Settings, load
from ..domain.errors import Invalid
from ..storage import migrate
from ..storage.session import Database
from . import databases, options


@click.command()
@options.server
@options.apps
@options.mode
@options.shared
@click.option("--workers", type=int)
def check(**flags: Any) -> None:
    """Print every error and warning of a configuration, with the fix."""
    file = flags.pop("file", None)
    redis_url = flags.pop("redis_url", None)
    flags["broker_url"] = flags.get("broker_url") or redis_url
    given = {name: value for name, value in flags.items() if value not in (None, ())}
    try:
        settings = load(given, os.environ, file)
    except Invalid as error:
        click.echo(f"error: {error.message}")
        raise SystemExit(1) from None
    errors = settings.errors() + settings.missing_keys()
    warnings = settings.warnings()
    if not settings.errors():
        errors += [*_database(settings, warnings), *_broker(settings)]
    for text in errors:
        click.echo(f"error: {text}")
    for text in warnings:
        click.echo(f"warning: {text}")
    if errors:
        raise SystemExit(1)
    click.echo("ok: the configuration can be used")


def _database(settings: Settings, warnings: list[str]) -> list[str]:
    if settings.in_memory:
        return []
    database = Database(settings.database_url)
    if database.is_sqlite and database.url.database:
        folder = Path(database.url.database).absolute().parent
        if not folder.exists():
            return _folder(folder, warnings)
    try:
        at, head = migrate.current(database), migrate.head()
    except (SQLAlchemyError, OSError) as error:
        return [databases.unreachable(error)]
    finally:
        database.close()
    if at is None and settings.is_sqlite:
        warnings.append("the schema does not exist yet: the server makes it at its start")
    elif at is None:
        return ["the database has no schema: run inngest-py db upgrade"]
    elif at != head:
        return [f"the schema is at {at}, this version needs {head}: run inngest-py db upgrade"]
    return []


def _folder(folder: Path, warnings: list[str]) -> list[str]:
    """Say whether a server could make the folder of its SQLite file."""
    nearest = next(above for above in folder.parents if above.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        return [f"{folder} does not exist and cannot be made in {nearest}: check --database-url"]
    warnings.append(f"{folder} does not exist yet: the server makes it at its start")
    return []


def _broker(settings: Settings) -> list[str]:
    if settings.embedded:
        return []
    from kombu.connection import Connection
    from kombu.exceptions import KombuError

    try:
        with Connection(settings.broker_url, connect_timeout=3) as connection:
            connection.ensure_connection(max_retries=1, timeout=3)
    except ImportError as error:
        return [f"the broker needs the package {error.name}: install it with pip"]
    except (OSError, KombuError, ValueError) as error:
        told = f"the broker cannot be reached ({type(error).__name__})"
        return [f"{told}: check --redis-url or --broker-url"]
    return []
