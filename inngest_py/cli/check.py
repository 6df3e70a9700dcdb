"""`check`: print everything that is wrong with a configuration, and how to fix it."""

import os
from datetime import timedelta
from pathlib import Path

import click
from sqlalchemy.exc import SQLAlchemyError

from .. import config_checks, config_reading
from ..config import Settings
from ..domain.errors import InngestPyError, Invalid
from ..serving.unreachable import unreachable
from ..storage.db.clock import REPORTED
from ..storage.db.outages import reason
from ..storage.db.session import Database
from ..storage.schema import foreign_tables, migrate
from . import connections_taken, options

_FIX = "check --redis-url or --broker-url"


@click.command()
@options.server
@options.apps
@options.mode
@options.shared
@click.option("--workers", type=int)
def check(**flags: object) -> None:
    """Print every error and warning of a configuration, with the fix."""
    settings, errors = options.read(flags)
    errors += settings.errors() + settings.missing_keys()
    notes: list[str] = []
    warnings = settings.warnings() + config_reading.unknown(os.environ)
    if not config_checks.url_errors(settings.database_url):
        errors += _database(settings, warnings, notes)
    if not settings.embedded and not config_checks.broker_errors(settings.broker_url):
        errors += _broker(settings)
    for text in notes:
        click.echo(text)
    for text in errors:
        click.echo(f"error: {text}")
    for text in warnings:
        click.echo(f"warning: {text}")
    if errors:
        raise SystemExit(1)
    click.echo("ok: the configuration can be used")


def _database(settings: Settings, warnings: list[str], notes: list[str]) -> list[str]:
    if settings.in_memory:
        return []
    database = Database(settings.database_url, limits=settings.database_limits())
    if database.file is not None and not (folder := database.file.absolute().parent).exists():
        return _folder(folder, warnings)
    try:
        found = _schema(database, warnings)
        _count_connections(settings, database, warnings, notes, has_schema=not found)
        return found
    except InngestPyError as error:
        return [error.message]
    except (SQLAlchemyError, OSError) as error:
        return [unreachable(error)]
    finally:
        database.close()


def _schema(database: Database, warnings: list[str]) -> list[str]:
    with database.reading() as connection:
        foreign_tables.refuse(connection)
    warnings += _clock(database)
    at, head = migrate.current(database), migrate.head()
    if at is None and database.file is not None:
        warnings.append("the schema does not exist yet: the server makes it at its start")
    elif at is None:
        return ["the database has no schema: run inngest-py db upgrade"]
    elif migrate.refuse_newer(database):
        warnings.append(
            f"the schema is at {at}, newer than this version's {head}, which can use it"
        )
    elif at != head:
        return [
            f"the schema is at {at}, older than {head}, which this version needs:"
            " run inngest-py db upgrade"
        ]
    return []


def _count_connections(
    settings: Settings,
    database: Database,
    warnings: list[str],
    notes: list[str],
    *,
    has_schema: bool,
) -> None:
    said, too_many = connections_taken.told(
        settings, database, database.clock.now(), has_schema=has_schema
    )
    notes += said
    warnings += too_many


def _clock(database: Database) -> list[str]:
    """Warn of a clock that is off; connecting to the database has measured it."""
    skew = database.clock.skew
    if abs(skew) < REPORTED:
        return []
    way = "behind" if skew > timedelta(0) else "ahead of"
    text = f"this machine's clock is {abs(skew.total_seconds()):.1f} s {way} the database's"
    return [f"{text}, which decides: have NTP keep both"]


def _folder(folder: Path, warnings: list[str]) -> list[str]:
    """Return an error if a server could not make the folder of its SQLite file."""
    nearest = next(above for above in folder.parents if above.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        return [f"{folder} does not exist and cannot be made in {nearest}: check --database-url"]
    warnings.append(f"{folder} does not exist yet: the server makes it at its start")
    return []


def _broker(settings: Settings) -> list[str]:
    # Celery takes as long to import as the rest of this command: only with a broker
    from kombu.exceptions import KombuError

    from ..tasks.app import create_celery

    try:  # with the options of celeryconfig.py, as workers do
        with create_celery(settings).connection_for_write(connect_timeout=3) as connection:
            connection.ensure_connection(max_retries=1, timeout=3)
    except Invalid as error:  # celeryconfig.py
        return [error.message]
    except ImportError as error:
        return [f"the broker needs the package {error.name}: install it with pip"]
    except (OSError, KombuError) as error:
        return [f"the broker cannot be reached ({reason(error)}): {_FIX}"]
    except ValueError:  # its text is left out: it may have the password
        return [f"the broker's URL cannot be read: {_FIX}"]
    return []
