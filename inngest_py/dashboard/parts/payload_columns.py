"""Fields of events as columns of the list of runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import orjson
from sqlalchemy import Connection, RowMapping
from werkzeug.datastructures import MultiDict

from ...domain.errors import Invalid
from ...domain.functions import search_keys
from ...domain.values import payload_paths
from ...domain.values.payload_paths import PayloadPath
from ...storage.queries import event_lookups

MOST = 5
NONE = "none"  # `col=none`: not even the keys of the chosen function
# A payload that is larger is not read: fifty of this size take 10 ms.
_MOST_CHARS = 64 * 1024
_MOST_TITLE = 300
TOO_LARGE = "the event is too large: open it to see this field"


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `name` is that of the search key, or the end of its path."""

    name: str
    path: PayloadPath


@dataclass(frozen=True, slots=True)
class Cell:
    """A value as it is shown, and the reason why there is none."""

    text: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class PayloadColumns:
    """The columns of a list, with their cells by event."""

    columns: Sequence[Column] = ()
    cells: Mapping[str, Sequence[Cell]] = field(default_factory=dict)

    def of(self, run: RowMapping) -> Sequence[tuple[Column, Cell]]:
        """Pair the columns with the cells of a run."""
        empty = [Cell("")] * len(self.columns)
        return list(zip(self.columns, self.cells.get(run["event_id"], empty), strict=True))


def chosen(given: "MultiDict[str, str]", functions: Sequence[RowMapping]) -> list[Column]:
    """Read `col`, which may be given often or with commas, from the URL. Raises Invalid.

    Without it, the search keys of the chosen function are the columns.
    """
    paths = [path.strip() for one in given.getlist("col") for path in one.split(",")]
    paths = list(dict.fromkeys(path for path in paths if path))
    if NONE in paths:
        return []
    function = given.get("function", "")
    mine = [row for row in functions if function and function in (row["id"], row["slug"])]
    keys = search_keys.from_json(mine[0]["search_keys"]) if len(mine) == 1 else {}
    if not paths:
        return [Column(name, path) for name, path in sorted(keys.items())][:MOST]
    if len(paths) > MOST:
        raise Invalid(f"col names {len(paths)} columns: at most {MOST} are shown", field="col")
    names = {path.text: name for name, path in keys.items()}
    found = [payload_paths.parse(path, "col") for path in paths]
    return [Column(names.get(path.text, path.parts[-1]), path) for path in found]


def load(tx: Connection, columns: Sequence[Column], runs: Sequence[RowMapping]) -> PayloadColumns:
    """Read the values for the rows of a page; of an event batch, those of its first event."""
    if not columns or not runs:
        return PayloadColumns(columns)
    found = event_lookups.small_payloads(tx, [run["event_id"] for run in runs], _MOST_CHARS)
    return PayloadColumns(columns, {key: _cells(columns, text) for key, text in found.items()})


def _cells(columns: Sequence[Column], payload: str | None) -> list[Cell]:
    if payload is None:
        return [Cell("…", TOO_LARGE)] * len(columns)
    event = orjson.loads(payload)
    texts = [payload_paths.shown(column.path.find(event)) for column in columns]
    return [Cell(text[:_MOST_TITLE]) for text in texts]


def values(
    tx: Connection, columns: Sequence[Column], runs: Sequence[RowMapping]
) -> dict[str, dict[str, object]]:
    """Read the whole values for an export: by event, by the paths of the columns.

    An absent field is None, and an event that is too large has a text instead of each.
    """
    if not columns or not runs:
        return {}
    found = event_lookups.small_payloads(tx, [run["event_id"] for run in runs], _MOST_CHARS)
    return {key: _values(columns, text) for key, text in found.items()}


def _values(columns: Sequence[Column], payload: str | None) -> dict[str, object]:
    if payload is None:
        return {column.path.text: f"({TOO_LARGE})" for column in columns}
    event = orjson.loads(payload)
    return {column.path.text: column.path.find(event) for column in columns}
