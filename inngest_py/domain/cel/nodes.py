"""The tree of an expression. Every node knows its depth, so that the depth can be limited."""

from collections.abc import Iterator
from dataclasses import dataclass


class _Missing:
    """The value of a path that finds nothing: neither null nor an error (expressions.md §4.1)."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING = _Missing()


class CelList(list[object]):
    """A list made by an expression: its integers are int64, those of JSON lists are doubles."""

    __slots__ = ()


class CelMap(dict[object, object]):
    """A map made by an expression: its integers are int64, those of JSON objects are doubles."""

    __slots__ = ()


class UInt(int):
    """An unsigned integer, which expressions keep apart from int."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class CelType:
    """The type of a value, as `type(x)` gives it."""

    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A part of an expression; `depth` counts its own level and those below."""

    depth: int

    def children(self) -> tuple["Node", ...]:
        """List the parts."""
        return ()


@dataclass(frozen=True, slots=True, eq=False)
class Literal(Node):
    """A constant, or a list or map of constants."""

    value: object


@dataclass(frozen=True, slots=True, eq=False)
class Path(Node):
    """A variable, and a chain of fields with constant names."""

    root: str
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Index(Node):
    """An element whose key is computed, or a field of a computed value."""

    operand: Node
    key: Node

    def children(self) -> tuple[Node, ...]:
        """List the parts."""
        return (self.operand, self.key)


@dataclass(frozen=True, slots=True, eq=False)
class Call(Node):
    """A call of a function or operator; the name of an operator is its sign, or `?:`."""

    name: str
    args: tuple[Node, ...]
    method: bool = False

    def children(self) -> tuple[Node, ...]:
        """List the parts."""
        return self.args


@dataclass(frozen=True, slots=True, eq=False)
class MakeList(Node):
    """A list whose elements are computed."""

    items: tuple[Node, ...]

    def children(self) -> tuple[Node, ...]:
        """List the parts."""
        return self.items


@dataclass(frozen=True, slots=True, eq=False)
class MakeMap(Node):
    """A map whose keys or values are computed."""

    entries: tuple[tuple[Node, Node], ...]

    def children(self) -> tuple[Node, ...]:
        """List the parts."""
        return tuple(node for entry in self.entries for node in entry)


@dataclass(frozen=True, slots=True, eq=False)
class Has(Node):
    """The macro that tests whether a field is there."""

    field: Node

    def children(self) -> tuple[Node, ...]:
        """List the parts."""
        return (self.field,)


@dataclass(frozen=True, slots=True, eq=False)
class Loop(Node):
    """A macro over a list's elements or a map's keys: all, exists, exists_one, map, filter."""

    kind: str
    over: Node
    variable: str
    body: Node
    keep: Node | None = None  # map's optional condition

    def children(self) -> tuple[Node, ...]:
        """List the parts."""
        return (self.over, self.body) if self.keep is None else (self.over, self.keep, self.body)


def walk(node: Node) -> Iterator[Node]:
    """Yield the node and all nodes below it, without recursion."""
    rest = [node]
    while rest:
        node = rest.pop()
        yield node
        rest.extend(reversed(node.children()))
