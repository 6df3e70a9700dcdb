"""A run of pytest in a process of its own, with the plugins of `make test`."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_CONFTEST = """
import pytest
from tests.scheduling import SharedScheduling

@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return SharedScheduling(config, log)
"""
# says whether this is the first time that the test with this name asks
_FIRST = """
from pathlib import Path

def first(name):
    path = Path(__file__).with_name(name + ".seen")
    seen = path.exists()
    path.touch()
    return not seen
"""
# without those that the environment brings, which take most of a run's second
_PLUGINS = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "xdist.plugin,pytest_timeout"}
Run = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run the given files in a folder of their own; return the exit code and the lines."""

    def called(*options: str, **files: str) -> tuple[int, list[str]]:
        (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -ra\nfilterwarnings = error\n")
        (tmp_path / "conftest.py").write_text(_CONFTEST)
        for name, text in files.items():
            (tmp_path / f"{name}.py").write_text(_FIRST + text)
        plugins = ["-p", "tests.second_run", "-p", "tests.slow", "-p", "tests.hanging"]
        workers = ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *plugins, *workers, *options],
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"} | _PLUGINS,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, (done.stdout + done.stderr).strip().splitlines()

    return called
