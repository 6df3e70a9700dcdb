"""Errors of statements that run on a driver's own cursor, as SQLAlchemy would raise them."""

from sqlalchemy import Dialect
from sqlalchemy.exc import DBAPIError


def wrapped(
    dialect: Dialect, sql: str, error: BaseException, *, lost: bool = False
) -> BaseException:
    """Make SQLAlchemy's error from a driver's, without the parameters, which may be secret.

    `lost` says that the connection is lost.
    """
    return DBAPIError.instance(
        sql,
        None,
        error,
        dialect.loaded_dbapi.Error,
        hide_parameters=True,
        connection_invalidated=lost,
        dialect=dialect,
    )
