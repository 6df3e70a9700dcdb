"""Make programs of trees: each node becomes a function of the scope, once.

A program runs about four times as fast as a walk over the tree. Matching an event with many waits
evaluates the same few programs again and again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..errors import Invalid
from . import elements, functions, values
from .errors import CelError
from .nodes import (
    MISSING,
    Call,
    CelList,
    CelMap,
    Has,
    Index,
    Literal,
    Loop,
    MakeList,
    MakeMap,
    Node,
    Path,
)

_MOST_ITERATIONS = 100_000


class Scope:
    """What a program runs with: its variables, the present time and how much work is left.

    `exact` is for the arguments of other programs: integers that doubles cannot hold stay integers,
    and `+` does not make text of numbers.
    """

    __slots__ = ("exact", "meter", "now", "variables")

    def __init__(
        self,
        variables: Mapping[str, object],
        now: datetime,
        meter: values.Meter | None = None,
        *,
        exact: bool = False,
    ) -> None:
        self.variables = variables
        self.now = now
        self.meter = meter or values.Meter(_MOST_ITERATIONS)
        self.exact = exact


Run = Callable[[Scope], object]


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A compiled expression: its text, its tree and the function that runs it."""

    text: str
    node: Node
    run: Run


def build(node: Node) -> Run:
    """Make the function that evaluates a node."""
    return _BUILDERS[type(node)](node)


def _literal(node: Literal) -> Run:
    value = node.value
    return lambda scope: value


def _path(node: Path) -> Run:
    root, fields = node.root, node.fields
    fallback = MISSING if fields else functions.TYPES.get(root, MISSING)

    def run(scope: Scope) -> object:
        value = scope.variables.get(root, fallback)
        owner: object = None
        for name in fields:
            if not isinstance(value, dict):
                return MISSING
            owner, value = value, value.get(name, MISSING)
        # JSON's numbers are doubles (expressions.md §1)
        if type(value) is int and type(owner) is dict:
            return elements.number(value, exact=scope.exact)
        return value

    return run


def _index(node: Index) -> Run:
    operand, key = build(node.operand), build(node.key)
    return lambda scope: elements.element(operand(scope), key(scope), exact=scope.exact)


def _has(node: Has) -> Run:
    """Test a field; if it is absent, the result is missing, not false (§4.1)."""
    field = build(node.field)
    return lambda scope: MISSING if field(scope) is MISSING else True


def _make_list(node: MakeList) -> Run:
    items = [build(item) for item in node.items]

    def run(scope: Scope) -> object:
        made = CelList([item(scope) for item in items])
        return MISSING if any(one is MISSING for one in made) else made

    return run


def _make_map(node: MakeMap) -> Run:
    entries = [(build(key), build(value)) for key, value in node.entries]

    def run(scope: Scope) -> object:
        made = CelMap()
        for key_of, value_of in entries:
            key, value = key_of(scope), value_of(scope)
            if key is MISSING or value is MISSING:
                return MISSING
            if not isinstance(key, str | int):
                raise CelError("the key of a map must be a string, an integer or a bool")
            made[key] = value
        return made

    return run


def _call(node: Call) -> Run:
    args = [build(arg) for arg in node.args]
    if not node.method:
        if node.name == "+":
            return _sum(*args)
        if node.name in values.BINARY:
            return _binary(values.BINARY[node.name], *args)
        if node.name in values.UNARY:
            change, arg = values.UNARY[node.name], args[0]
            return lambda scope: change(arg(scope))
        if node.name in _BRANCHES:
            return _BRANCHES[node.name](args)
    return _function(node.name, args)


def _binary(join: Callable[[object, object], object], left: Run, right: Run) -> Run:
    def run(scope: Scope) -> object:
        try:
            return join(left(scope), right(scope))
        except (OverflowError, ValueError) as error:
            raise CelError("the value is out of range") from error

    return run


def _sum(left: Run, right: Run) -> Run:
    add = _binary(values.add, left, right)
    exactly = _binary(values.add_exactly, left, right)
    return lambda scope: exactly(scope) if scope.exact else add(scope)


def _function(name: str, args: list[Run]) -> Run:
    timed = functions.TIMED.get(name)
    called = timed or functions.FUNCTIONS.get(name)

    def run(scope: Scope) -> object:
        given = [arg(scope) for arg in args]
        if any(one is MISSING for one in given):
            return 0 if name == "size" else False
        if called is None:
            raise values.no_overload(name)
        try:
            return called(scope.now, *given) if timed else called(*given)
        except Invalid as error:
            raise CelError(error.message) from error
        except (TypeError, ValueError, OverflowError, AttributeError) as error:
            raise values.no_overload(name) from error

    return run


def _either(args: list[Run]) -> Run:
    """Return the first operand that counts as true, which hides errors, or the last (§4.4, §10)."""

    def run(scope: Scope) -> object:
        failed: CelError | None = None
        value: object = MISSING
        for arg in args:
            try:
                value = arg(scope)
            except CelError as error:
                failed = failed or error
                continue
            if value is True or values.truthy(value):
                return value
        if failed is not None:
            raise failed
        return False if value is MISSING else value

    return run


def _both(args: list[Run]) -> Run:
    """Return the first that counts as false, which hides errors, or the last (§4.4, §10)."""

    def run(scope: Scope) -> object:
        failed: CelError | None = None
        value: object = MISSING
        for arg in args:
            try:
                value = arg(scope)
            except CelError as error:
                failed = failed or error
                continue
            if value is not True and not values.truthy(value):
                return False if value is MISSING else value
        if failed is not None:
            raise failed
        return value

    return run


def _conditional(args: list[Run]) -> Run:
    test, then, other = args
    return lambda scope: then(scope) if values.truthy(test(scope)) else other(scope)


def _loop(node: Loop) -> Run:
    over, body = build(node.over), build(node.body)
    keep = build(node.keep) if node.keep is not None else None
    variable, kind = node.variable, node.kind
    fold = _FOLDS.get(kind)

    def run(scope: Scope) -> object:
        container = over(scope)
        if container is MISSING:
            return False
        if not isinstance(container, list | dict):
            raise values.no_overload(kind)
        inner = dict(scope.variables)
        within = Scope(inner, scope.now, scope.meter, exact=scope.exact)
        if fold is not None:
            return fold(_each(container, variable, within), body, within)
        return _collected(_each(container, variable, within), keep, body, within, kind)

    return run


def _each(
    container: list[object] | dict[object, object], variable: str, scope: Scope
) -> Iterator[object]:
    for one in elements.elements(container, exact=scope.exact):
        scope.meter.spend()
        scope.variables[variable] = one  # type: ignore[index]
        yield one


def _all(elements: Iterable[object], body: Run, scope: Scope) -> bool:
    failed = None
    for _ in elements:
        try:
            if not values.truthy(body(scope)):
                return False
        except CelError as error:
            failed = failed or error
    if failed is not None:
        raise failed
    return True


def _exists(elements: Iterable[object], body: Run, scope: Scope) -> bool:
    failed = None
    for _ in elements:
        try:
            if values.truthy(body(scope)):
                return True
        except CelError as error:
            failed = failed or error
    if failed is not None:
        raise failed
    return False


def _exists_one(elements: Iterable[object], body: Run, scope: Scope) -> bool:
    return sum(values.truthy(body(scope)) for _ in elements) == 1


def _collected(
    elements: Iterable[object], keep: Run | None, body: Run, scope: Scope, kind: str
) -> object:
    made = CelList()
    for one in elements:
        if kind == "filter":
            if values.truthy(body(scope)):
                made.append(one)
        elif keep is None or values.truthy(keep(scope)):
            value = body(scope)
            if value is MISSING:
                return MISSING
            made.append(value)
    return made


_FOLDS = {"all": _all, "exists": _exists, "exists_one": _exists_one}
_BRANCHES: dict[str, Callable[[list[Run]], Run]] = {
    "||": _either,
    "&&": _both,
    "?:": _conditional,
}
_BUILDERS: dict[type, Callable[[Any], Run]] = {
    Literal: _literal,
    Path: _path,
    Index: _index,
    Has: _has,
    MakeList: _make_list,
    MakeMap: _make_map,
    Call: _call,
    Loop: _loop,
}
