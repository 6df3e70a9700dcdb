"""Which way leads to the database that an app passes."""

import sys

from .database import Database, OpenTransaction


def choose(target: object, argument: str) -> Database:
    """Find the way. Raises TypeError or ValueError, which name the argument and the fix."""
    if isinstance(target, str):
        if "://" in target:  # it may have a password in it
            raise ValueError(f"{argument}: a URL is no database here: pass create_engine(url)")
        from .with_django import Django

        return Django(target, argument)
    if "sqlalchemy" in sys.modules:
        from .with_sqlalchemy import Sqlalchemy

        return Sqlalchemy(target, argument)
    wanted = (
        "an engine, a session or a sessionmaker of SQLAlchemy, or the name of a Django database"
    )
    raise TypeError(f"{argument}: must be {wanted}, not {type(target).__name__}")


def choose_open(target: object, argument: str) -> OpenTransaction:
    """Find the transaction that the app has open. Raises TypeError or ValueError, as choose()."""
    if isinstance(target, str):
        from .with_django import OpenAtomic

        return OpenAtomic(target, argument)
    if "sqlalchemy" in sys.modules:
        from .with_sqlalchemy import open_transaction

        return open_transaction(target, argument)
    wanted = "a session or connection of SQLAlchemy, or the name of a Django database"
    raise TypeError(f"{argument}: must be {wanted}, not {type(target).__name__}")
