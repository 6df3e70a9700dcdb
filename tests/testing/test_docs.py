"""The code of docs/testing.md is that of examples/shop, which runs; README's example runs here."""

import importlib.util
import re
import sys
import unittest
from pathlib import Path
from types import ModuleType
from typing import Any

import fastapi
import inngest as sdk
import pytest

from inngest_py.testing import Inngest
from tests.processes import ROOT

from .async_shop import fast_api

_SHOP = Path(ROOT, "examples", "shop")


def _blocks(file: str, language: str) -> list[str]:
    text = Path(ROOT, file).read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_examples_are_those_of_the_page() -> None:
    code = (_SHOP / "shop.py").read_text() + (_SHOP / "test_shop.py").read_text()
    shown = _blocks("docs/testing.md", "py")[:-1]
    assert [block for block in shown if block not in code] == []
    functions = [name for block in shown for name in re.findall(r"^def (test_\w+)", block, re.M)]
    assert functions == re.findall(r"^def (test_\w+)", code, re.M)
    assert len(functions) == 10


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("shop_of_the_page", _SHOP / "shop.py")
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    monkeypatch.setitem(sys.modules, "shop", made)
    return made


def test_unittest_and_the_context_manager(shop: ModuleType) -> None:
    names: dict[str, Any] = {"__name__": "page", "shop": shop}
    exec(compile(_blocks("docs/testing.md", "py")[-1], "testing.md", "exec"), names)
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(names["OrderTest"]).run(result)
    assert (result.testsRun, result.errors, result.failures) == (1, [], [])
    names["check_an_order"]()


def test_the_examples_run_on_fastapi(shop: ModuleType) -> None:
    app = fastapi.FastAPI()
    functions = [one for one in vars(shop).values() if isinstance(one, sdk.Function)]
    fast_api.serve(app, shop.client, functions)
    names: dict[str, Any] = {"__name__": "test_shop"}
    exec(compile((_SHOP / "test_shop.py").read_text(), "test_shop.py", "exec"), names)
    tests = [names[name] for name in names if name.startswith("test_")]
    for test in tests:
        [mark] = getattr(test, "pytestmark", None) or [pytest.mark.inngest()]
        shop.charges.clear()
        with Inngest(app, **getattr(mark, "mark", mark).kwargs) as inngest:
            test(inngest)
    assert len(tests) == 10


def test_the_example_of_the_readme() -> None:
    names: dict[str, Any] = {"__name__": "readme"}
    for code in _blocks("README.md", "python"):
        exec(compile(code, "README.md", "exec"), names)
    with Inngest(names["app"]) as inngest:
        names["test_an_order_is_shipped"](inngest)
