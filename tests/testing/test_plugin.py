"""The plugin as users have it: in a pytest process of its own, with other plugins and unittest."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ROOT

_HEAVY = ("flask", "celery", "sqlalchemy", "gevent", "kombu", "inngest", "httpx", "fastapi")
# they take a third of the time to load
_UNUSED = ("schemathesis", "hypothesispytest", "valkey", "platformdirs")
_CONFTEST = """
import pytest
from tests.testing.async_shop import AsyncShop, fastapi_shop
from tests.testing.shop import Shop, flask_shop

@pytest.fixture
def shop():
    return Shop()

@pytest.fixture
def inngest_app(shop):
    return flask_shop(shop)
"""
_FILES = {
    "conftest.py": _CONFTEST,
    "test_asyncio.py": """
import asyncio, inngest as sdk, pytest
from tests.testing.async_shop import AsyncShop, fastapi_shop

pytestmark = pytest.mark.asyncio

async def test_blocking_functions(inngest, shop):
    assert inngest.run(shop.order).result == {"order": None, "charge": "charge"}
    await shop.client.send(sdk.Event(name="shop/parts"))
    assert [run.result for run in inngest.runs(shop.parts)] == [["bolt", "nut"]]

class TestAsyncio:
    @pytest.fixture
    def shop(self):
        return AsyncShop()

    @pytest.fixture
    def inngest_app(self, shop):
        return fastapi_shop(shop)

    async def test_functions(self, inngest, shop):
        run = inngest.run(shop.order)
        inngest.clock.advance(days=1)
        assert run.result == ["reserve", "pack", "label"]
        await shop.client.send(sdk.Event(name="shop/order.placed"))
        await asyncio.sleep(0)
        assert len(inngest.runs(shop.order)) == 2
""",
    "test_unittest.py": """
import unittest
from inngest_py.testing import InngestTestCase
from tests.testing.shop import Shop, flask_shop

class OrderTest(InngestTestCase, unittest.TestCase):
    def make_inngest_app(self):
        self.shop = Shop()
        return flask_shop(self.shop)

    def test_order(self):
        run = self.inngest.run("order", data={"order": "A-1"})
        self.assertEqual(run.result["order"], "A-1")

    def test_that_fails(self):
        self.inngest.mock_step("parts", "pack")
        self.assertEqual(self.inngest.run("order").result, "that failed")

    def test_that_fails_in_a_part(self):
        self.inngest.mock_step("parts", "pack")
        with self.subTest("a part"):
            self.fail("that failed")

    def test_that_is_left_early(self):
        self.inngest.mock_step("parts", "pack")
        self.skipTest("left early")

    def test_that_prepares_what_it_does_not_meet(self):
        self.inngest.mock_step("parts", "pack")
""",
    "test_named.py": """
import pytest

@pytest.fixture
def inngest_app(request):
    from inngest_py.testing.named_apps import load
    return load("named:make()")

def test_named(inngest):
    assert inngest.run("order").status == "completed"
""",
    "named.py": """
from tests.testing.shop import Shop, flask_shop
def make():
    return flask_shop(Shop())
""",
    "test_wrong.py": """
import pytest

@pytest.mark.inngest(strat="2027-01-01")
def test_with_a_wrong_option(inngest):
    pass

def test_that_prepares_what_it_does_not_meet(inngest, shop):
    inngest.mock_step(shop.parts, "pack")
    inngest.run(shop.parts)

def test_that_fails_is_not_told_more(inngest, shop):
    inngest.mock_step(shop.parts, "pack")
    assert inngest.run(shop.order).result == "that failed"
""",
}


def _pytest(folder: Path, *args: str) -> str:
    for name, text in _FILES.items():
        (folder / name).write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -p no:cacheprovider\n")
    unused = [part for name in _UNUSED for part in ("-p", f"no:{name}")]
    command = [sys.executable, "-m", "pytest", "-q", "-rA", *unused, *args]
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{folder}", "PYTEST_ADDOPTS": ""}
    done = subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False
    )
    return done.stdout + done.stderr


def test_with_xdist_asyncio_and_unittest(tmp_path: Path) -> None:
    """Slow: two processes load pytest, its plugins, the SDK and the engine."""
    told = _pytest(tmp_path, "-n", "1")
    for name in (
        "test_asyncio.py::test_blocking_functions",
        "test_asyncio.py::TestAsyncio::test_functions",
        "test_unittest.py::OrderTest::test_order",
        "test_named.py::test_named",
        "test_wrong.py::test_that_prepares_what_it_does_not_meet",
    ):
        assert f"PASSED {name}" in told, told
    assert "ERROR test_wrong.py::test_that_prepares_what_it_does_not_meet" in told, told
    assert "takes start=…, path=…, crons=…, allow_http=…, not strat" in told
    assert "its runs met 'bolt', 'nut'" in told
    assert "FAILED test_wrong.py::test_that_fails_is_not_told_more" in told
    assert "ERROR test_wrong.py::test_that_fails_is_not_told_more" not in told
    assert "1 skipped" in told and "2 errors" in told, told
    assert "FAILED test_unittest.py::OrderTest::test_that_prepares_what_it_does_not_meet" in told
    unmet = [line for line in told.splitlines() if re.match("E .*no run came to that step", line)]
    assert len(unmet) == 2, told  # of tests that have not failed, and were not left early


def test_loading_the_plugin_imports_next_to_nothing(tmp_path: Path) -> None:
    code = """
import json, sys, pytest
class Look:
    def pytest_collection_finish(self):
        self.names = sorted(sys.modules)
look = Look()
pytest.main(["-q", "--collect-only", sys.argv[1]], plugins=[look])
print(json.dumps(look.names))
"""
    (tmp_path / "test_mine.py").write_text("def test_mine(inngest): pass")
    command = [sys.executable, "-c", code, str(tmp_path)]
    env = {**os.environ, "PYTEST_ADDOPTS": ""}
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=True
    )
    loaded = json.loads(done.stdout.splitlines()[-1])
    assert "inngest_py.testing.plugin" in loaded
    mine = [name for name in loaded if name.startswith("inngest_py")]
    assert set(mine) <= {"inngest_py", "inngest_py.testing", "inngest_py.testing.plugin"}
    assert [name for name in loaded if name.split(".")[0] in _HEAVY] == []


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("shop", "inngest_app must be module:attribute, as in shop.web:app, not 'shop'"),
        ("no_such_shop:app", "cannot be imported: No module named 'no_such_shop'"),
        ("tests.testing.shop:web", "there is no 'web' in 'tests.testing.shop:web'"),
    ],
)
def test_bad_names_of_apps_are_refused(named: str, told: str) -> None:
    from inngest_py.testing.errors import AppError
    from inngest_py.testing.named_apps import load

    before = dict(os.environ)
    with pytest.raises(AppError, match=told):
        load(named)
    assert dict(os.environ) == before
