"""The database of a command: a command does not wait for it, but ends with what is wrong."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from sqlalchemy.exc import SQLAlchemyError

from ..domain.errors import InngestPyError
from ..serving.unreachable import unreachable
from ..storage.db.session import Database
from ..storage.schema import migrate
from . import options

db_option = click.option(
    "--db", "db_file", type=click.Path(path_type=Path), help="A file of SQLite."
)


@contextmanager
def opened(flags: dict[str, object], *, must_exist: bool = False) -> Iterator[Database]:
    """Open the database that flags and environment name; an error ends the command.

    `--db PATH` is another way to write `--database-url sqlite:///PATH`, of commands that have it.
    """
    file = flags.pop("db_file", None)
    if file is not None and flags["database_url"] is not None:
        raise click.UsageError("--db and --database-url name a database each: give one of them")
    if file is not None:
        flags["database_url"] = f"sqlite:///{file}"
    settings = options.settings_of(flags)
    database = Database(settings.database_url, limits=settings.database_limits())
    try:
        if must_exist and database.file is not None and not database.file.exists():
            raise click.ClickException(f"there is no database at {database.file}")
        database.make_folder()
        if database.file is None or database.file.exists():
            migrate.current(database)  # a server would wait for it
        yield database
    except InngestPyError as error:
        raise click.ClickException(error.message) from None
    except (SQLAlchemyError, OSError) as error:
        raise click.ClickException(unreachable(error)) from None
    finally:
        database.close()
