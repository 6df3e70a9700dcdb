"""Write trees as text, with only the parentheses that are needed."""

from . import literals
from .grammar import RESERVED
from .nodes import Call, Has, Index, Literal, Loop, MakeList, MakeMap, Node, Path

_LEVELS = {
    "?:": 0,
    "||": 1,
    "&&": 2,
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">=", "in"), 3),
    **dict.fromkeys(("+", "-"), 4),
    **dict.fromkeys(("*", "/", "%"), 5),
    **dict.fromkeys(("!", "neg"), 6),
}
_MEMBER = 7
_WORDS = RESERVED | {"in", "true", "false", "null"}


def render(node: Node) -> str:
    """Write an expression."""
    if isinstance(node, Call):
        return _call(node)
    if isinstance(node, Literal):
        return literals.written(node.value)
    if isinstance(node, Path):
        return node.root + "".join(_field(name) for name in node.fields)
    if isinstance(node, Index):
        return f"{_within(node.operand, _MEMBER)}[{render(node.key)}]"
    if isinstance(node, MakeList):
        return f"[{_joined(node.items)}]"
    if isinstance(node, MakeMap):
        entries = [f"{render(key)}: {render(value)}" for key, value in node.entries]
        return f"{{{', '.join(entries)}}}"
    if isinstance(node, Has):
        return f"has({render(node.field)})"
    assert isinstance(node, Loop)
    args = (Path(1, node.variable), *node.children()[1:])
    return f"{_within(node.over, _MEMBER)}.{node.kind}({_joined(args)})"


def _call(node: Call) -> str:
    args = node.args
    level = None if node.method else _LEVELS.get(node.name)
    if node.method:
        return f"{_within(args[0], _MEMBER)}.{node.name}({_joined(args[1:])})"
    if level is None:
        return f"{node.name}({_joined(args)})"
    if node.name == "?:":
        test, then, other = args
        return f"{_within(test, 1)} ? {_within(then, 1)} : {render(other)}"
    if level == _LEVELS["!"]:
        return f"{'!' if node.name == '!' else '-'}{_within(args[0], level)}"
    first, *others = args
    least = level + 1 if node.name in ("||", "&&") else level
    return f" {node.name} ".join([_within(first, least), *_withins(others, level + 1)])


def _withins(nodes: list[Node], least: int) -> list[str]:
    return [_within(node, least) for node in nodes]


def _within(node: Node, least: int) -> str:
    """Write an operand, in parentheses when it binds less than `least`."""
    text = render(node)
    return f"({text})" if _level(node) < least else text


def _level(node: Node) -> int:
    if isinstance(node, Call) and not node.method:
        return _LEVELS.get(node.name, _MEMBER)
    value = node.value if isinstance(node, Literal) else None
    negative = isinstance(value, int | float) and value < 0
    return _LEVELS["neg"] if negative else _MEMBER


def _joined(nodes: tuple[Node, ...]) -> str:
    return ", ".join([render(node) for node in nodes])


def _field(name: str) -> str:
    plain = name.isascii() and name.isidentifier() and name not in _WORDS
    return f".{name}" if plain else f"[{literals.written(name)}]"
