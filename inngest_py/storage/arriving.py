"""What has to be known of events that arrive, whatever they start: in one statement."""

from collections.abc import Sequence

from sqlalchemy import Connection, Text, cast, null, union_all

from .batch import unnested
from .driven import Driven, columns
from .functions import VERSION, catalog_version
from .pauses import distinct_paths, paths

_names = unnested({"name": Text()})
_version = VERSION.with_only_columns(null().label("name"), cast(VERSION.selected_columns[0], Text))
_look = Driven(union_all(_version, distinct_paths(_names)))


def look(tx: Connection, names: Sequence[str]) -> tuple[int, list[tuple[str, str]]]:
    """Read the catalogue's version and the paths() of events with these names, at least one."""
    if tx.dialect.name == "sqlite":
        return catalog_version(tx), paths(tx, names)
    rows = _look.run(tx, columns(["name"], [(name,) for name in names])).all()
    version = next((int(row[1]) for row in rows if row[0] is None), 0)
    return version, [(row[0], row[1]) for row in rows if row[0] is not None]
