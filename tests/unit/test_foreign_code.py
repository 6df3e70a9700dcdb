"""Our code that changes the inside of other packages, or needs to know it, notices their changes.

`foreign_code.toml` has each such module of ours, and the functions of others that it replaces,
extends or depends on, with a fingerprint of their code; for a package in C, it is the version. A
test fails when one of them changes. Then read the change and our module, see that what `check` says
still holds, and run the tests named there. After that, write the new fingerprint into the table
(`python -m tests.unit.test_foreign_code NAME`), and the version into the module's docstring.
"""

import ast
import hashlib
import importlib
import inspect
import re
import sys
import textwrap
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.processes import ROOT

TABLE = ROOT / "tests" / "unit" / "foreign_code.toml"


class Place(NamedTuple):
    """A module of ours, what to check when foreign code changes, and that code's fingerprints."""

    module: str
    check: str
    tests: str
    foreign: dict[str, str]


PLACES = [Place(module, **found) for module, found in tomllib.loads(TABLE.read_text()).items()]

# Packages whose inside we reach into, or whose classes we extend.
PACKAGES = set[str]().union(
    ("amqp", "billiard", "celery", "geventhttpclient", "gevent", "http", "inngest", "kombu"),
    ("prometheus_client", "psycopg2", "redis", "requests", "urllib3", "vine", "werkzeug"),
)
# Classes that their packages document as made to be extended, and errors.
DOCUMENTED = {
    "celery.bootsteps.StartStopStep",
    "inngest.MiddlewareSync",
    "inngest.NonRetriableError",
    "kombu.mixins.ConsumerMixin",
    "prometheus_client.registry.Collector",
    "psycopg2.OperationalError",
}


class _Plain(ast.NodeTransformer):
    """Leaves out what does not run: docstrings, annotations, and the words of messages."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        node.returns = None
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return ast.Constant("f")  # Pythons write it differently


def fingerprint(name: str) -> str:
    """Hash the code of `module:Class.function`, or the first two numbers of a package's version."""
    where, _, path = name.partition(":")
    if not path:
        return ".".join(version(where).split(".")[:2])
    found: Any = importlib.import_module(where)
    for part in path.split("."):
        found = inspect.getattr_static(found, part)
    found = getattr(found, "fget", None) or getattr(found, "func", None) or found
    found = getattr(found, "__func__", found)
    tree = _Plain().visit(ast.parse(textwrap.dedent(inspect.getsource(found))))
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()[:10]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.module)
def test_foreign_code_is_as_we_know_it(place: Place) -> None:
    changed = []
    for name, known in place.foreign.items():
        try:
            found = fingerprint(name)
        except (AttributeError, ImportError) as error:
            found = f"nothing ({error})"
        if found not in known.split():
            package = name.partition(".")[0].partition(":")[0]
            changed.append(f"{name} ({package}) has changed: {known} is now {found}")
    told = f"{place.module} depends on it. Check {place.check}, and run {place.tests}."
    assert not changed, "\n".join([*changed, told])


def test_a_fingerprint_changes_with_the_code_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    codes = (
        "class A:\n    def f(self, b):\n        return b + 1\n",
        "class A:\n    def f(self, b: int) -> int:\n        'Add.'\n        return (b+1)  # 1\n",
        "class A:\n    def f(self, b):\n        return b + 2\n",
    )
    made = []
    for number, code in enumerate(codes):
        (tmp_path / f"foreign{number}.py").write_text(code)
        made.append(fingerprint(f"foreign{number}:A.f"))
    assert made[0] == made[1] != made[2]


def test_foreign_code_that_we_extend_is_in_the_table() -> None:
    """A class of those packages that we extend, and a private name of their classes that we use."""
    known = {place.module for place in PLACES}
    found = {
        f"{file.relative_to(ROOT)}: {name}"
        for file in sorted((ROOT / "inngest_py").rglob("*.py"))
        if str(file.relative_to(ROOT)) not in known
        for name in _extended(ast.parse(file.read_text()))
    }
    assert not found, f"not in PLACES: {found}"


def test_docstrings_name_the_version_and_the_tests_are_there() -> None:
    for place in PLACES:
        assert all((ROOT / test).exists() for test in place.tests.split(", ")), place.tests
        doc = ast.get_docstring(ast.parse((ROOT / place.module).read_text())) or ""
        packages = {name.partition(":")[0].partition(".")[0] for name in place.foreign}
        for package in packages - {"http"}:
            told = rf"Written against.*\b{package.split('-')[0]} \d+\.\d"
            assert re.search(told, doc, re.IGNORECASE | re.DOTALL), f"{place.module}: {package}"


def _extended(tree: ast.Module) -> set[str]:
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
        elif isinstance(node, ast.Import):
            names |= {one.asname or one.name: one.name for one in node.names}
    foreign = {n: full for n, full in names.items() if full.partition(".")[0] in PACKAGES}
    found = set()
    for node in ast.walk(tree):
        bases = node.bases if isinstance(node, ast.ClassDef) else []
        private = isinstance(node, ast.Attribute) and re.match("_[a-z]", node.attr)
        set_ = isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
        for used in [*bases, *([node.value] if private or set_ else [])]:
            first, _, rest = ast.unparse(used).partition(".")
            if first in foreign:
                full = f"{foreign[first]}.{rest}".rstrip(".")
                found |= {full} - DOCUMENTED
    return found


if __name__ == "__main__":  # writes lines of the table
    for name in sys.argv[1:]:
        print(f'"{name}" = "{fingerprint(name)}"')
