"""What comes before an API serves: its database's file and schema, and Celery apps of settings.

Each function ends the command, with a sentence that names the fix, where waiting would not help.
"""

import errno
import os
from pathlib import Path

import click
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from ..config import Settings
from ..domain.errors import InngestPyError
from ..domain.functions import celery_task
from ..engine.apps import declared_apps
from ..engine.clock import kept
from ..engine.runtime.context import Context
from ..storage.db.session import sqlite_file
from ..storage.schema.migrate import prepare
from .unreachable import unreachable


def try_to_write(file: Path) -> None:
    """Make the database's file, or end the command: no waiting would make it writable.

    A file that exists is not opened: to close it would drop the locks that SQLite holds on it in
    this process. Another process that has read the database would then take itself for the last
    one, and delete the log that this one goes on to write its commits to.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            file.touch()
        elif file.is_dir() or not os.access(file, os.W_OK):
            number = errno.EISDIR if file.is_dir() else errno.EACCES
            raise OSError(number, os.strerror(number))
    except OSError as error:
        text = f"the database {file} cannot be written: {error.strerror}"
        raise click.ClickException(f"{text}; use another --db or --database-url") from None


def make_file(settings: Settings) -> None:
    """Make the file of SQLite, if the settings name one."""
    file = sqlite_file(make_url(settings.database_url))
    if file is not None:
        try_to_write(file)


def bring_up_to_date(ctx: Context, settings: Settings) -> None:
    """Bring the schema up to date; refuse a database whose clock was moved."""
    try:
        prepare(ctx.db)
        if settings.clock == "real":
            kept.refuse_moved(ctx.db)
    except DBAPIError as error:
        raise click.ClickException(unreachable(error)) from None
    except InngestPyError as error:
        raise click.ClickException(error.message) from None


def connect_celery_apps(ctx: Context, settings: Settings) -> None:
    """Connect the Celery apps that settings and the config file name."""
    named = [celery_task.parse_app(entry) for entry in settings.celery_apps]
    try:
        declared_apps.connect(ctx, named, settings.declared_celery_apps)
    except InngestPyError as error:  # such as a name that an SDK's app has
        raise click.ClickException(f"Celery apps: {error.message}") from None
