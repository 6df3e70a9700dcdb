"""Which names and operators an expression may have, checked at sync (expressions.md §8, §9)."""

from ..errors import Invalid
from . import functions, values
from .nodes import Call, Has, Literal, Loop, Node, Path, walk

VARIABLES = frozenset({"event", "async", "vars"})
_OPERATORS = frozenset({*values.BINARY, *values.UNARY, "||", "&&", "?:"})
_ALLOWED = frozenset({"==", "!=", "<", "<=", ">", ">=", "&&", "||", "!", "?:", "in"}) | {
    "int",
    "uint",
    "double",
}


def check_declared(node: Node, variables: frozenset[str] = VARIABLES) -> None:
    """Refuse variables and functions that are not known. Raises Invalid."""
    rest = [(node, variables)]
    while rest:
        node, known = rest.pop()
        if isinstance(node, Path):
            if node.root not in known and (node.fields or node.root not in functions.TYPES):
                names = " or ".join(sorted(variables - {"vars"}))
                raise Invalid(f"{node.root!r} is not declared: use {names}")
        elif isinstance(node, Loop):
            rest.append((node.over, known))
            inner = known | {node.variable}
            rest.extend((part, inner) for part in (node.keep, node.body) if part is not None)
            continue
        elif isinstance(node, Call):
            _check_call(node)
        rest.extend((child, known) for child in node.children())


def _check_call(node: Call) -> None:
    if node.name in _OPERATORS and not node.method:
        return
    if not functions.declared(node.name, len(node.args), method=node.method):
        raise Invalid(f"there is no function {node.name}() that takes such arguments")


def check_policy(node: Node) -> None:
    """Refuse macros, arithmetic and most functions (§8). Raises Invalid."""
    for part in walk(node):
        if isinstance(part, Has | Loop):
            name = "has" if isinstance(part, Has) else part.kind
            raise Invalid(f"{name}() is not allowed here: only comparisons and logic are")
        if isinstance(part, Call) and (part.method or part.name not in _ALLOWED):
            name = "-" if part.name == "neg" else part.name
            raise Invalid(f"{name!r} is not allowed here: only comparisons and logic are")


def equalities(node: Node) -> list[tuple[tuple[str, ...], object]]:
    """List the equalities `async.<path> == <string, number or bool>` that a match needs.

    Paths are without `async`. Equalities with null are left out, as missing values equal it (§4.1).
    """
    found: list[tuple[tuple[str, ...], object]] = []
    rest = [node]
    while rest:
        node = rest.pop()
        if not isinstance(node, Call) or node.method:
            continue
        if node.name == "&&":
            rest.extend(reversed(node.args))
        elif node.name == "==":
            left, right = node.args
            path, literal = (right, left) if isinstance(left, Literal) else (left, right)
            if (
                isinstance(path, Path)
                and path.root == "async"
                and isinstance(literal, Literal)
                and isinstance(literal.value, str | int | float)
            ):
                value = literal.value
                is_number = isinstance(value, int) and not isinstance(value, bool)
                found.append((path.fields, float(value) if is_number else value))
    return found
