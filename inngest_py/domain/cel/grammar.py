"""CEL's grammar: read an expression's text into a tree (protocol: expressions.md, head and §9).

The parser is driven by tables and builds the tree while it reads, so deep text cannot exhaust
Python's stack. The depth of the tree is limited here.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import LarkError, UnexpectedInput, VisitError

from ..errors import Invalid
from . import literals
from .nodes import Call, CelList, CelMap, Has, Index, Literal, Loop, MakeList, MakeMap, Node, Path

MOST_CHARS = 64 * 1024
# Building a program takes three frames of Python's stack per level.
MOST_LEVELS = 100
MOST_LITERAL_LEVELS = 240
LOOPS = {"all": (2,), "exists": (2,), "exists_one": (2,), "map": (2, 3), "filter": (2,)}
RESERVED = {"as", "break", "const", "continue", "else", "for", "function", "if", "import"} | {
    *("let", "loop", "package", "namespace", "return", "var", "void", "while")
}
_GRAMMAR = r"""
?start: expr
?expr: or_ | or_ "?" or_ ":" expr -> conditional
?or_: and_ | and_ ("||" and_)+ -> either
?and_: relation | relation ("&&" relation)+ -> both
?relation: sum | relation (LE|LT|GE|GT|EQ|NE|IN) sum -> binary
?sum: product | sum (PLUS|MINUS) product -> binary
?product: unary | product (STAR|SLASH|PERCENT) unary -> binary
?unary: member | NOT+ member -> prefix | MINUS+ member -> prefix
?member: primary
    | member "." IDENT -> select
    | member "." IDENT "(" [args] ")" -> method
    | member "[" expr "]" -> index
?primary: "."? IDENT -> variable
    | "."? IDENT "(" [args] ")" -> call
    | "(" expr ")"
    | "[" [items] "]" -> make_list
    | "{" [entries] "}" -> make_map
    | FLOAT -> number | UINT -> number | INT -> number
    | RAW_STRING -> string | STRING -> string
    | "true" -> true | "false" -> false | "null" -> null
args: expr ("," expr)*
items: expr ("," expr)* ","? -> args
entries: entry ("," entry)* ","?
entry: expr ":" expr

LE: "<="
LT: "<"
GE: ">="
GT: ">"
EQ: "=="
NE: "!="
IN: "in"
PLUS: "+"
MINUS: "-"
STAR: "*"
SLASH: "/"
PERCENT: "%"
NOT: "!"
IDENT: /[_a-zA-Z][_a-zA-Z0-9]*/
FLOAT.4: /[0-9]+\.[0-9]+([eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|\.[0-9]+([eE][+-]?[0-9]+)?/
UINT.3: /(0[xX][0-9a-fA-F]+|[0-9]+)[uU]/
INT.2: /0[xX][0-9a-fA-F]+|[0-9]+/
RAW_STRING.6: /([rR][bB]?|[bB][rR])("{3}(.|\n)*?"{3}|'{3}(.|\n)*?'{3})/
    | /([rR][bB]?|[bB][rR])("[^"\r\n]*"|'[^'\r\n]*')/
STRING.5: /[bB]?("{3}([^\\]|\\(.|\n))*?"{3}|'{3}([^\\]|\\(.|\n))*?'{3})/
    | /[bB]?("([^"\\\r\n]|\\.)*"|'([^'\\\r\n]|\\.)*')/
COMMENT: /\/\/[^\n]*/
%ignore /[ \t\r\n\f]+/
%ignore COMMENT
"""


def _depth(*nodes: Node) -> int:
    below = max([1 if isinstance(node, Literal) else node.depth for node in nodes], default=0)
    if below >= MOST_LEVELS:
        raise Invalid(f"the expression is nested deeper than {MOST_LEVELS} levels")
    return below + 1


def _literal(value: CelList | CelMap, parts: Sequence[Node]) -> Literal:
    depth = 1 + max([part.depth for part in parts], default=0)
    if depth > MOST_LITERAL_LEVELS:
        raise Invalid(f"the constant is nested deeper than {MOST_LITERAL_LEVELS} levels")
    return Literal(depth, value)


def call(name: str, *args: Node, method: bool = False) -> Call:
    """Make a call of a function or operator."""
    return Call(_depth(*args), name, args, method)


@v_args(inline=True)
class _Builder(Transformer[Token, Node]):
    """Makes nodes; the names are those of the grammar's rules."""

    def conditional(self, test: Node, then: Node, other: Node) -> Node:
        return call("?:", test, then, other)

    def either(self, *args: Node) -> Node:
        return call("||", *args)

    def both(self, *args: Node) -> Node:
        return call("&&", *args)

    def binary(self, left: Node, sign: Token, right: Node) -> Node:
        return call(str(sign), left, right)

    def prefix(self, *parts: Any) -> Node:
        node: Node = parts[-1]
        for sign in reversed(parts[:-1]):
            value = node.value if isinstance(node, Literal) else None
            if sign == "-" and (type(value) is int or type(value) is float):
                node = Literal(1, -value)
            else:
                node = call("neg" if sign == "-" else "!", node)
        return node

    def select(self, operand: Node, name: Token) -> Node:
        return self._element(operand, Literal(1, str(name)))

    def index(self, operand: Node, key: Node) -> Node:
        return self._element(operand, key)

    def _element(self, operand: Node, key: Node) -> Node:
        if isinstance(operand, Path) and isinstance(key, Literal) and type(key.value) is str:
            return Path(1, operand.root, (*operand.fields, key.value))
        return Index(_depth(operand, key), operand, key)

    def args(self, *nodes: Node) -> tuple[Node, ...]:
        return nodes

    def method(self, target: Node, name: Token, args: tuple[Node, ...] | None) -> Node:
        given = args or ()
        if len(given) in LOOPS.get(name, ()):
            return self._loop(str(name), target, given)
        return call(str(name), target, *given, method=True)

    def _loop(self, kind: str, over: Node, args: tuple[Node, ...]) -> Node:
        variable = args[0]
        if not isinstance(variable, Path) or variable.fields:
            raise Invalid(f"{kind}() names its variable first, like {kind}(x, x > 1)")
        keep = args[1] if len(args) == 3 else None
        return Loop(_depth(over, *args), kind, over, variable.root, args[-1], keep)

    def call(self, name: Token, args: tuple[Node, ...] | None) -> Node:
        given = args or ()
        if name != "has":
            return call(str(name), *given)
        field = given[0] if len(given) == 1 else None
        if isinstance(field, Path) and field.fields:
            return Has(2, field)
        if isinstance(field, Index) and isinstance(field.key, Literal):
            return Has(_depth(field), field)
        raise Invalid("has() takes one field, like has(event.data.id)")

    def variable(self, name: Token) -> Node:
        if name in RESERVED:
            raise Invalid(f"{str(name)!r} is a reserved word")
        return Path(1, str(name))

    def make_list(self, args: tuple[Node, ...] | None) -> Node:
        items = args or ()
        constants = [item.value for item in items if isinstance(item, Literal)]
        if len(constants) == len(items):
            return _literal(CelList(constants), items)
        return MakeList(_depth(*items), items)

    def entry(self, key: Node, value: Node) -> tuple[Node, Node]:
        return key, value

    def entries(self, *entries: tuple[Node, Node]) -> tuple[tuple[Node, Node], ...]:
        return entries

    def make_map(self, entries: tuple[tuple[Node, Node], ...] | None) -> Node:
        given = entries or ()
        made = CelMap()
        for key, value in given:
            if not isinstance(key, Literal) or not isinstance(value, Literal):
                return MakeMap(_depth(*[node for entry in given for node in entry]), given)
            if not isinstance(key.value, str | int):
                raise Invalid("the key of a map must be a string, an integer or a bool")
            made[key.value] = value.value
        return _literal(made, [value for _, value in given])

    def number(self, text: Token) -> Node:
        return Literal(1, literals.number(text))

    def string(self, text: Token) -> Node:
        return Literal(1, literals.string(text))

    def true(self) -> Node:
        return Literal(1, True)

    def false(self) -> Node:
        return Literal(1, False)

    def null(self) -> Node:
        return Literal(1, None)


@cache
def _parser() -> Lark:
    """Build the parser, at the first expression: this takes a tenth of a server's start."""
    return Lark(_GRAMMAR, parser="lalr", transformer=_Builder(), maybe_placeholders=True)


def parse(text: str) -> Node:
    """Read an expression. Raises Invalid."""
    if not text.strip():
        raise Invalid("the expression is empty")
    if len(text) > MOST_CHARS:
        raise Invalid(f"the expression is longer than {MOST_CHARS} characters")
    try:
        node: Any = _parser().parse(text)
    except UnexpectedInput as error:
        place = f"line {error.line}, column {error.column}" if error.line > 0 else "its end"
        raise Invalid(f"the expression has a syntax error at {place}") from error
    except VisitError as error:
        if isinstance(error.orig_exc, Invalid):
            raise error.orig_exc from error
        raise
    except LarkError as error:
        raise Invalid("the expression has a syntax error") from error
    assert isinstance(node, Node)
    return node
