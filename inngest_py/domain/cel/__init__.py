"""Expressions in CEL, for triggers, waits, cancellations and keys (protocol: expressions.md).

Operators are relaxed: values that are missing or of another type can be compared, without an error.
These functions raise Invalid for a bad text and CelError for a failed evaluation, nothing else.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache

from ..errors import Invalid
from . import elements, folding, grammar, programs, render, rules, values
from .errors import CelError
from .nodes import MISSING, Literal, Path, walk
from .programs import Program

__all__ = [
    "MOST_CHARS",
    "CelError",
    "Program",
    "argument",
    "check",
    "check_restrictive",
    "compile",
    "constant",
    "equalities",
    "evaluate",
    "fields_of",
    "interpolate",
    "key_text",
    "matches",
]

# The limit for what people write. Interpolation may make an expression longer.
MOST_CHARS = 16 * 1024


@lru_cache(maxsize=4096)
def compile(text: str) -> Program:
    """Make a program of an expression; undeclared names are allowed. Raises Invalid."""
    node = grammar.parse(text)
    return Program(text, node, programs.build(node))


def check(text: str, variables: frozenset[str] = rules.VARIABLES) -> None:
    """Check an expression's syntax and all its names, as a sync does (§9). Raises Invalid."""
    _check_length(text)
    rules.check_declared(compile(text).node, variables)


def constant(text: str) -> object:
    """Give the value of an expression that has no variables, else MISSING. Raises Invalid."""
    node = compile(text).node
    return node.value if isinstance(node, Literal) else MISSING


def _check_length(text: str) -> None:
    if len(text) > MOST_CHARS:
        most = f"{MOST_CHARS // 1024} KiB ({MOST_CHARS} characters)"
        raise Invalid(f"the expression is longer than {most}: it has {len(text)}")


def check_restrictive(text: str) -> None:
    """Check an expression that may only compare and combine (§8, §9). Raises Invalid."""
    check(text)
    rules.check_policy(compile(text).node)


def evaluate(text: str, variables: Mapping[str, object], now: datetime) -> object:
    """Return an expression's value; a missing value counts as false (§4.1).

    Raises Invalid when it does not compile and CelError when it fails.
    """
    return _evaluated(text, programs.Scope(variables, now))


def _evaluated(text: str, scope: programs.Scope) -> object:
    try:
        value = compile(text).run(scope)
    except (RecursionError, OverflowError) as error:
        raise CelError("the value is nested too deeply or out of range") from error
    return False if value is MISSING else values.bounded_parts(value)


def argument(text: str, variables: Mapping[str, object], now: datetime) -> object:
    """Return an expression's value for a program that tells integers from floats.

    All numbers of events are doubles in expressions (§1); here those that are whole are integers,
    and integers that doubles cannot hold stay as they are. Raises as evaluate() does, and where
    `+` would make text of a number.
    """
    scope = programs.Scope(variables, now, exact=True)
    return elements.whole_numbers(_evaluated(text, scope))


def matches(text: str, variables: Mapping[str, object], now: datetime) -> bool:
    """Say whether an expression is true; errors and other values do not match (§2, §5)."""
    try:
        return evaluate(text, variables, now) is True
    except (CelError, Invalid):
        return False


def interpolate(text: str, event: Mapping[str, object], now: datetime) -> str:
    """Fill a run's event in, so that the rest is only about `async` (§6).

    A missing field becomes null. An expression that is decided already becomes `true` or `false`.
    Raises Invalid.
    """
    _check_length(text)
    node = compile(text).node
    work = folding.Folding(event, now)
    try:
        folded = work.fold(node)
        if not any(isinstance(part, Path) and part.root == "event" for part in walk(node)):
            return render.render(folded) if isinstance(folded, Literal) else text
        filled = render.render(work.mirrored(folded) if work.missing else folded)
    except (RecursionError, OverflowError) as error:
        raise Invalid("the event's values are nested too deeply") from error
    if len(filled) > grammar.MOST_CHARS:
        raise Invalid(
            f"with the event's values the expression exceeds {grammar.MOST_CHARS} characters"
        )
    return filled


def key_text(value: object) -> str:
    """Write a value as text, of which keys are hashes (§2). Raises CelError."""
    return values.text(value)


def equalities(text: str) -> list[tuple[tuple[str, ...], object]]:
    """List the paths and values that an `async` event must have, for an index (§7).

    Raises Invalid.
    """
    return rules.equalities(compile(text).node)


def fields_of(text: str, variable: str) -> set[str]:
    """List the fields of a variable that an expression reads.

    Raises Invalid for a bad expression, and for one that uses the variable without such a field.
    """
    found = set()
    for part in walk(compile(text).node):
        if isinstance(part, Path) and part.root == variable:
            if not part.fields:
                raise Invalid(f"{variable} alone has no value: write {variable}.NAME")
            found.add(part.fields[0])
    return found
