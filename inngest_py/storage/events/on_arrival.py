"""Read what every arriving event needs, in one statement: catalogue version, open waits."""

from collections.abc import Sequence

from sqlalchemy import Connection, Text, func, select
from sqlalchemy.types import TypeEngine

from ..catalog.functions import VERSION, catalog_version
from ..db.columns import table_of
from ..db.dialects import pick
from ..db.statements import PostgresStatement, columns, unnested
from .waits import WaitRow, paths

Looked = tuple[int, list[tuple[str, str]]]
_waits = table_of(WaitRow)
_row: dict[str, TypeEngine[str]] = {"name": Text()}
_names = unnested(_row)
# Every event asks whether anything waits for it: that is cheaper to plan than asking what waits.
# The least path is read from the index. EXISTS became a join that read each of 100,000 waits.
_least = select(func.min(_waits.c.lookup_path)).where(_waits.c.event_name == _names.name)
_awaited = func.array(
    select(_names.name).where(_least.scalar_subquery().is_not(None)).scalar_subquery()
)
_look = PostgresStatement(select(VERSION.scalar_subquery(), _awaited))


def version_and_paths(tx: Connection, names: Sequence[str]) -> Looked:
    """Read the catalogue's version and the paths() of events with these names, at least one."""
    return pick(tx, sqlite=_look_twice, postgres=_look_once)(tx, names)


def _look_twice(tx: Connection, names: Sequence[str]) -> Looked:
    return catalog_version(tx), paths(tx, names)


def _look_once(tx: Connection, names: Sequence[str]) -> Looked:
    [(version, awaited)] = _look.run(tx, columns(list(_row), [(name,) for name in names]))
    return version or 0, paths(tx, awaited) if awaited else []
