"""How large a query may be, measured on its syntax tree before it is validated.

Validation compares every pair of fields with the same name, so the query's size must be limited
first. Rows and bytes of the answer are limited where they are read (request.py).
"""

from dataclasses import dataclass

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    OperationDefinitionNode,
    SelectionSetNode,
    StringValueNode,
    Visitor,
    visit,
)

from ...domain.errors import Invalid
from ...domain.events.filters import check_text

MOST_CHARS = 100_000
MOST_TOKENS = 10_000
MOST_LEVELS = 20  # the usual introspection query has 15
MOST_FIELDS = 1_000
MOST_ALIASES = 100
MOST_ROOTS = 30


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a selection, its fragments included."""

    levels: int = 0
    fields: int = 0
    aliases: int = 0

    def __add__(self, other: "Size") -> "Size":
        return Size(
            max(self.levels, other.levels),
            self.fields + other.fields,
            self.aliases + other.aliases,
        )


def check(document: DocumentNode) -> None:
    """Refuse a document that is too large, and text that cannot be stored. Raises Invalid."""
    fragments = {
        node.name.value: node
        for node in document.definitions
        if isinstance(node, FragmentDefinitionNode)
    }
    measure = _Measure(fragments)
    for name in fragments:
        measure.fragment(name)
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode):
            _check_operation(node, measure)
    visit(document, _Texts())


def _check_operation(node: OperationDefinitionNode, measure: "_Measure") -> None:
    size = measure.selection(node.selection_set)
    roots = len(node.selection_set.selections)
    for found, most, what in (
        (size.levels, MOST_LEVELS, "levels deep"),
        (size.fields, MOST_FIELDS, "fields"),
        (size.aliases, MOST_ALIASES, "aliases"),
        (roots, MOST_ROOTS, "fields at its root"),
    ):
        if found > most:
            raise Invalid(f"the query has {found} {what}: {most} are allowed, ask for less")


class _Measure:
    """Adds up selections; a fragment's size is computed once, however often it is spread."""

    def __init__(self, fragments: dict[str, FragmentDefinitionNode]) -> None:
        self._fragments = fragments
        self._sizes: dict[str, Size] = {}
        self._open: set[str] = set()

    def selection(self, chosen: SelectionSetNode | None, level: int = 1) -> Size:
        if level > 10 * MOST_LEVELS:  # inline fragments add no level to the answer, but recursion
            raise Invalid(f"the query is nested deeper than {MOST_LEVELS} levels")
        total = Size()
        for node in chosen.selections if chosen is not None else ():
            if isinstance(node, FragmentSpreadNode):
                total += self.fragment(node.name.value)
                continue
            inner = self.selection(getattr(node, "selection_set", None), level + 1)
            if isinstance(node, FieldNode):
                own = Size(1 + inner.levels, 1, int(node.alias is not None))
                inner = own + inner
            total += inner
        return total

    def fragment(self, name: str) -> Size:
        """Measure a fragment; unknown and recursive ones are 0, since validation refuses them."""
        if name in self._open or name not in self._fragments:
            return Size()
        if name not in self._sizes:
            self._open.add(name)
            if len(self._open) > MOST_FIELDS // 10:
                raise Invalid("the query's fragments are nested too deeply")
            self._sizes[name] = self.selection(self._fragments[name].selection_set)
            self._open.discard(name)
        return self._sizes[name]


class _Texts(Visitor):
    """Refuses texts that no database can compare."""

    def enter_string_value(self, node: StringValueNode, *_: object) -> None:
        check_text(node.value, "a string of the query")


def check_variables(value: object) -> None:
    """Refuse variables with texts that no database can compare. Raises Invalid."""
    rest = [value]
    while rest:
        one = rest.pop()
        if isinstance(one, str):
            check_text(one, "a variable")
        elif isinstance(one, dict):
            rest.extend(one)
            rest.extend(one.values())
        elif isinstance(one, list):
            rest.extend(one)
