"""The database of a command: a command does not wait for it, but ends with what is wrong."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
from sqlalchemy.exc import SQLAlchemyError

from ..domain.errors import InngestPyError
from ..serving.unreachable import unreachable
from ..storage.db.session import Database
from ..storage.schema import migrate
from . import options


@contextmanager
def opened(flags: dict[str, object]) -> Iterator[Database]:
    """Open the database that flags and environment name; an error ends the command."""
    settings = options.settings_of(flags)
    database = Database(settings.database_url, limits=settings.database_limits())
    try:
        database.make_folder()
        migrate.current(database)  # a server would wait for it
        yield database
    except InngestPyError as error:
        raise click.ClickException(error.message) from None
    except (SQLAlchemyError, OSError) as error:
        raise click.ClickException(unreachable(error)) from None
    finally:
        database.close()
