"""A wait's expression with its run's event filled in (protocol: expressions.md §6).

Parts that depend on `event` alone become literals, and operands that are decided by it are
removed. The rest is only about `async`. Arithmetic and functions stay, as in the reference.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from . import programs, values
from .errors import CelError
from .grammar import call
from .nodes import MISSING, Call, Has, Index, Literal, Loop, MakeList, MakeMap, Node, Path, walk

_MIRRORED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_BOOLEAN = frozenset({*_MIRRORED, "in", "!"})
_DECIDED = _BOOLEAN | {"contains", "startsWith", "endsWith", "matches", "&&", "||"}


class Folding:
    """One pass over a tree; `missing` says whether a path into the event found nothing."""

    def __init__(self, event: Mapping[str, object], now: datetime) -> None:
        self.scope = programs.Scope({"event": event}, now)
        self.missing = False

    def fold(self, node: Node, bound: frozenset[str] = frozenset()) -> Node:
        """Fill in the event; `bound` are the variables of the enclosing macros."""
        if isinstance(node, Literal):
            return node
        if isinstance(node, Path):
            return self._filled(node) if node.root == "event" not in bound else node
        if isinstance(node, Has | Loop) or (isinstance(node, Call) and node.name in _DECIDED):
            decided = self._decided(node, bound)
            if decided is not None:
                return decided
        if isinstance(node, Call):
            folded = [self.fold(arg, bound) for arg in node.args]
            return _simplified(node, folded)
        return self._parts(node, bound)

    def mirrored(self, node: Node) -> Node:
        """Put literals on the right of comparisons, as the reference does with a missing field."""
        if not isinstance(node, Call):
            return node
        args = tuple([self.mirrored(arg) for arg in node.args])
        if node.name in _MIRRORED and isinstance(args[0], Literal):
            return call(_MIRRORED[node.name], args[1], args[0])
        return replace(node, args=args)

    def _filled(self, node: Path) -> Node:
        value = programs.build(node)(self.scope)
        self.missing = self.missing or value is MISSING
        return Literal(1, None if value is MISSING else value)

    def _decided(self, node: Node, bound: frozenset[str]) -> Node | None:
        """Evaluate a node that depends on the event alone; None if that gives no bool."""
        own = {part.variable for part in walk(node) if isinstance(part, Loop)}
        roots = {part.root for part in walk(node) if isinstance(part, Path)}
        if bound or "event" in own or not roots <= own | {"event"}:
            return None
        try:
            value = programs.build(node)(self.scope)
        except CelError:
            return None
        if value is MISSING:  # has() of a field that is not there counts as false
            return Literal(1, False)
        return Literal(1, value) if isinstance(value, bool) else None

    def _parts(self, node: Node, bound: frozenset[str]) -> Node:
        if isinstance(node, Index):
            return Index(node.depth, self.fold(node.operand, bound), self.fold(node.key, bound))
        if isinstance(node, MakeList):
            return MakeList(node.depth, tuple([self.fold(item, bound) for item in node.items]))
        if isinstance(node, MakeMap):
            entries = [(self.fold(k, bound), self.fold(v, bound)) for k, v in node.entries]
            return MakeMap(node.depth, tuple(entries))
        if isinstance(node, Loop):
            inner = bound | {node.variable}
            keep = None if node.keep is None else self.fold(node.keep, inner)
            over, body = self.fold(node.over, bound), self.fold(node.body, inner)
            return replace(node, over=over, body=body, keep=keep)
        return node  # has() keeps its field, as a literal has no fields


def _simplified(node: Call, args: list[Node]) -> Node:
    """Remove operands that decide nothing; where one operand decides, return it alone."""
    if node.name in ("&&", "||") and not node.method:
        return _joined(node.name, args)
    if node.name == "?:" and isinstance(args[0], Literal):
        return args[1] if values.truthy(args[0].value) else args[2]
    if node.name == "!" and isinstance(args[0], Literal) and isinstance(args[0].value, bool):
        return Literal(1, not args[0].value)
    return replace(node, args=tuple(args))


def _joined(sign: str, args: list[Node]) -> Node:
    """Simplify a chain of && or ||; operands that are no bools stay, as they may be its value."""
    deciding = sign == "||"
    kept: list[Node] = []
    for arg in args:
        if not isinstance(arg, Literal) or not isinstance(arg.value, bool):
            kept.append(arg)
        elif arg.value is deciding and all(_is_bool(one) for one in kept):
            return Literal(1, deciding)
        elif arg.value is deciding or (arg is args[-1] and kept and not _is_bool(kept[-1])):
            kept.append(arg)
    if not kept:
        return Literal(1, not deciding)
    return kept[0] if len(kept) == 1 else call(sign, *kept)


def _is_bool(node: Node) -> bool:
    return isinstance(node, Call) and node.name in _BOOLEAN and not node.method
