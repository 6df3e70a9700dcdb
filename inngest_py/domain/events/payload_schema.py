"""What the payloads of an event look like, from some of them: fields, types, samples. Pure.

It is a guess from what was sent lately. Nothing checks events against it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..values import canonical

MOST_FIELDS = 200
_MOST_LEVELS = 8
_MOST_ENTRIES = 20  # of a list in one payload
_MOST_SAMPLES = 3
_MOST_SAMPLE_CHARS = 60
_PLAIN = re.compile(r"[A-Za-z_$][\w$-]*")
_ORDER = ("string", "integer", "number", "boolean", "object", "array", "null")


@dataclass(frozen=True, slots=True)
class SchemaField:
    """A field of payloads, by its path such as `order.items[].sku`.

    `types` are JSON's, with integers told apart. `is_optional` says that some of the objects that
    hold it do not have it. `samples` are values as JSON, cut off where they are long.
    """

    path: str
    types: tuple[str, ...]
    is_optional: bool
    samples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PayloadSchema:
    """The fields of payloads, parents first; `is_cut` says that there are more than MOST_FIELDS."""

    fields: tuple[SchemaField, ...]
    payloads: int
    is_cut: bool


@dataclass(slots=True)
class _Node:
    """What was seen at a path: how often, as which types, and as how many objects."""

    seen: int = 0
    objects: int = 0
    types: set[str] = field(default_factory=set)
    samples: dict[str, None] = field(default_factory=dict)
    fields: dict[str, "_Node"] = field(default_factory=dict)
    entries: "_Node | None" = None


class _Reader:
    """Adds payloads to nodes; `left` is how many fields may still be found."""

    def __init__(self, most: int) -> None:
        self.left = most
        self.is_cut = False

    def add(self, node: _Node, value: object, level: int = 0) -> None:
        """Note a value at a node, and what is in it."""
        node.seen += 1
        node.types.add(_type(value))
        if isinstance(value, Mapping):
            node.objects += 1
            for name, inner in value.items():
                child = self._child(node, str(name), level)
                if child is not None:
                    self.add(child, inner, level + 1)
        elif isinstance(value, list):
            self._entries(node, value, level)
        elif len(node.samples) < _MOST_SAMPLES:
            node.samples[_sample(value)] = None

    def _entries(self, node: _Node, value: Sequence[object], level: int) -> None:
        if not value or level >= _MOST_LEVELS:
            return
        if node.entries is None:
            node.entries = _Node()
        for one in value[:_MOST_ENTRIES]:
            self.add(node.entries, one, level + 1)

    def _child(self, node: _Node, name: str, level: int) -> _Node | None:
        if name in node.fields:
            return node.fields[name]
        if self.left == 0 or level >= _MOST_LEVELS:
            self.is_cut = True
            return None
        self.left -= 1
        made = node.fields[name] = _Node()
        return made


def infer(payloads: Sequence[object]) -> PayloadSchema:
    """Infer a schema from payloads, each an event's data."""
    reader, root = _Reader(MOST_FIELDS), _Node()
    for one in payloads:
        reader.add(root, one)
    return PayloadSchema(tuple(_fields(root, "")), len(payloads), reader.is_cut)


def _fields(node: _Node, path: str) -> list[SchemaField]:
    """List the fields below a node, each before those in it."""
    found = []
    for name, child in sorted(node.fields.items()):
        own = _joined(path, name)
        types = _types(child)
        found.append(SchemaField(own, types, child.seen < node.objects, tuple(child.samples)))
        found += _fields(child, own)
    if node.entries is not None:
        own = f"{path}[]"
        entries = node.entries
        found.append(SchemaField(own, _types(entries), False, tuple(entries.samples)))
        found += _fields(entries, own)
    return found


def _types(node: _Node) -> tuple[str, ...]:
    # an integer is a number
    types = node.types - {"integer"} if "number" in node.types else node.types
    return tuple(sorted(types, key=_ORDER.index))


def _joined(path: str, name: str) -> str:
    if _PLAIN.fullmatch(name) is None:
        return f"{path}[{canonical.dumps(name).decode()}]"
    return f"{path}.{name}" if path else name


def _type(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "object" if isinstance(value, Mapping) else "array"


def _sample(value: object) -> str:
    if isinstance(value, str) and len(value) > _MOST_SAMPLE_CHARS:
        value = value[: _MOST_SAMPLE_CHARS - 1] + "…"
    return canonical.dumps(value).decode()
