"""A pytest plugin: what failed is run once more at the end, and what then passes is told as flaky.

`make test` loads it with `-p tests.second_run`. A test that fails twice fails the run. One that
fails once does not: it is named just above pytest's last line, and the output of its failure is
kept in `build/flaky/`. The second run is a process of its own with one worker, so that a worker
that crashed, a session fixture that failed or a loaded machine does not weigh on it.
"""

import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

# More than this many are no flakiness: something is broken, and a second run would only cost time.
MOST = 50
KEPT_IN = Path("build/flaky")
_OPTION = "--reports-to"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that this plugin gives to the second run."""
    parser.addoption(_OPTION, metavar="FILE", help="write the tests' reports, one JSON a line")


def pytest_configure(config: pytest.Config) -> None:
    """Take part in the process that sums up, not in xdist's workers."""
    if hasattr(config, "workerinput"):
        return
    reports = config.getoption(_OPTION)
    config.pluginmanager.register(Reports(config, Path(reports)) if reports else SecondRun(config))


class Reports:
    """Write what a run's tests reported, for the process that asked for the run."""

    def __init__(self, config: pytest.Config, path: Path) -> None:
        self.config, self.path = config, path

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write the report of one phase of a test."""
        told = self.config.hook.pytest_report_to_serializable(config=self.config, report=report)
        told.pop("node", None)  # xdist's worker, which is gone when this is read
        with self.path.open("a") as file:
            file.write(json.dumps(told) + "\n")


class SecondRun:
    """Run the failed tests once more, and take what passes out of the failures."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.seen: set[str] = set()
        self.failed: dict[str, list[pytest.TestReport]] = defaultdict(list)
        self.flaky: dict[str, Path] = {}
        self.notes: list[str] = []
        self.kept_in = config.rootpath / KEPT_IN

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember which tests were run, and which phases failed."""
        self.seen.add(report.nodeid)
        if report.failed:
            self.failed[report.nodeid].append(report)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, Any, Any]:
        """After the whole run, run what failed once more."""
        for old in self.kept_in.glob("*.txt"):
            old.unlink()
        result = yield
        if len(self.failed) > MOST:
            self.notes.append(f"{len(self.failed)} tests failed, over {MOST}: not run once more")
        elif self.failed:
            self._again(session)
        self._missing(session)
        return result

    def _missing(self, session: pytest.Session) -> None:
        """Fail the run when tests were not run, as xdist leaves them after too many crashes."""
        missing = session.testscollected - len(self.seen)
        if missing > 0 and not session.config.getoption("collectonly"):
            self.notes.append(f"{missing} tests were not run")
            session.testsfailed += 1

    def _again(self, session: pytest.Session) -> None:
        terminal = self.config.pluginmanager.get_plugin("terminalreporter")
        self.kept_in.mkdir(parents=True, exist_ok=True)
        if terminal:
            terminal.write_line("")
            terminal.write_sep("=", f"{len(self.failed)} failed: run once more")
        second = self._run(list(self.failed))
        for nodeid, first in list(self.failed.items()):
            reports = second.get(nodeid, [])
            if _passed(reports):
                self.flaky[nodeid] = self._keep(nodeid, first)
                session.testsfailed -= len(first)
                if terminal:
                    _forgive(terminal.stats, nodeid, reports)
            else:
                text = "\n".join(r.longreprtext for r in reports if r.failed) or "it did not end"
                first[-1].sections.append(("the second time", text))

    def _run(self, nodeids: list[str]) -> dict[str, list[pytest.TestReport]]:
        """Run the tests in a process of their own; return their reports by test."""
        reports, output = self.kept_in / "second-run.jsonl", self.kept_in / "second-run.txt"
        reports.unlink(missing_ok=True)
        options = ["-n", "1", "--dist", "load", "-p", "no:cacheprovider", "-p", __name__]
        if timeout := self.config.getoption("timeout", None):
            options += ["-p", "tests.hanging", f"--timeout={timeout}"]
        options += [f"--rootdir={self.config.rootpath}", _OPTION, str(reports)]
        if self.config.inipath:
            options += ["-c", str(self.config.inipath)]
        with output.open("w") as file:
            subprocess.run(
                [sys.executable, "-m", "pytest", *options, *nodeids],
                cwd=self.config.rootpath,
                stdout=file,
                stderr=subprocess.STDOUT,
                check=False,
            )
        found: dict[str, list[pytest.TestReport]] = defaultdict(list)
        for line in reports.read_text().splitlines() if reports.exists() else []:
            report = self.config.hook.pytest_report_from_serializable(
                config=self.config, data=json.loads(line)
            )
            found[report.nodeid].append(report)
        reports.unlink(missing_ok=True)
        return found

    def _keep(self, nodeid: str, first: list[pytest.TestReport]) -> Path:
        """Write down how the test failed the first time."""
        path = self.kept_in / (re.sub(r"[^\w.-]+", "_", nodeid)[-150:] + ".txt")
        with path.open("a") as file:
            for report in first:
                file.write(f"{nodeid}, {report.when}\n\n{report.longreprtext}\n")
                for title, text in report.sections:
                    file.write(f"\n--- {title}\n{text}\n")
        return path

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> Generator[None]:
        """Name the flaky tests below everything but pytest's last line."""
        yield
        for note in self.notes:
            terminalreporter.write_line(note, red=True)
        if self.flaky:
            terminalreporter.write_sep("=", "flaky: failed, then passed", yellow=True)
        for nodeid, path in self.flaky.items():
            kept = path.relative_to(self.config.rootpath)
            terminalreporter.write_line(f"FLAKY {nodeid} ({kept})", yellow=True)


def _passed(reports: list[pytest.TestReport]) -> bool:
    """Say whether a test was run to its end without a failure; a skipped one was not."""
    return [r.when for r in reports if r.passed] == ["setup", "call", "teardown"]


def _forgive(stats: dict[str, list[Any]], nodeid: str, second: list[pytest.TestReport]) -> None:
    """Count a flaky test as passed, and once more as flaky, instead of as failed."""
    for category in ("failed", "error", "passed"):
        stats[category] = [r for r in stats.get(category, []) if r.nodeid != nodeid]
        # pytest's last line is red as soon as the category is there at all
        if not stats[category]:
            del stats[category]
    called = next(report for report in second if report.when == "call")
    stats.setdefault("passed", []).append(called)
    stats.setdefault("flaky", []).append(called)
