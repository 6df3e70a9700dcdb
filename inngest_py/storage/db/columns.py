"""The declarative base, the naming of constraints, and the column types all tables share."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, MetaData, Table, Text
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator, TypeEngine

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

NAMING = {
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ck": "%(table_name)s_%(constraint_name)s_check",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    "pk": "%(table_name)s_pkey",
}


class Base(DeclarativeBase):
    """The base of all models. Its metadata holds every table."""

    metadata = MetaData(naming_convention=NAMING)


class Timestamp(TypeDecorator[datetime]):
    """An aware datetime: `timestamptz` on PostgreSQL, integer microseconds on SQLite.

    SQLite has no time type. Integers compare and index exactly there, and cost least.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the column's type by dialect."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(Integer())
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Turn an aware datetime into what the column holds."""
        if value is None or dialect.name != "sqlite":
            return value
        return sqlite_value(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Turn the column's value into an aware datetime in UTC."""
        if value is None:
            return None
        if dialect.name == "sqlite":
            return _EPOCH + timedelta(microseconds=int(value))
        return utc(value)


def utc(value: datetime) -> datetime:
    """Convert an aware datetime to UTC: PostgreSQL's driver returns it in the session's zone."""
    return value.astimezone(UTC)


def sqlite_value(value: object) -> object:
    """Return a value as SQLite stores it: of a time the microseconds since 1970."""
    return (value - _EPOCH) // _MICROSECOND if isinstance(value, datetime) else value


# Canonical JSON text (RFC 8785). It is put into request bodies as it is stored, unparsed.
Json = Text
BigId = BigInteger().with_variant(Integer(), "sqlite")


def table_of(model: type[Base]) -> Table:
    """Return a model's table, for Core statements."""
    return cast(Table, model.__table__)
