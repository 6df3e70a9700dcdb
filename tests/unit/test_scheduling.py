"""Tests that share servers and apps run in one process, the others file by file, in a mix."""

from typing import Any

import pytest

from tests.processes import ROOT
from tests.scheduling import LONGEST, OF_EVERY_SDK, SharedScheduling, group, mixed


@pytest.mark.parametrize(
    ("nodeid", "expected"),
    [
        ("tests/sdk/test_waits.py::test_a[python-embedded-case0]", "embedded"),
        ("tests/sdk/test_traces.py::test_b[ts-v4-embedded]", "embedded"),
        ("tests/sdk/test_scenarios.py::test_c[ts-v3-several-noop-expected0]", "several"),
        ("tests/sdk/test_scenarios_replayed.py::test_g[ts-v4-several]", "several"),
        ("tests/sdk/test_scenarios.py::test_of_none", "tests/sdk/test_scenarios.py"),
        ("tests/sdk/test_flow.py::test_d[python-embedded]", "tests/sdk/test_flow.py"),
        ("tests/unit/test_ids.py::test_e", "tests/unit/test_ids.py"),
    ],
)
def test_a_test_is_grouped_by_what_it_shares(nodeid: str, expected: str) -> None:
    assert group(nodeid) == expected


def test_files_of_every_sdk_and_long_ones_are_those_that_are_there() -> None:
    """One that was renamed started all apps for itself alone: a minute and a half of CPU."""
    asking = {
        f"tests/sdk/{file.name}"
        for file in (ROOT / "tests" / "sdk").glob("test_*.py")
        if "sent: Sent" in file.read_text()
    }
    assert set(OF_EVERY_SDK) == asking
    files = [name for name in LONGEST if name.startswith("tests/")]
    assert [name for name in files if not (ROOT / name).exists()] == []


def test_long_groups_come_first() -> None:
    order = mixed(["tests/acceptance/a.py", "tests/unit/b.py", "several"])
    assert order == ["several", "tests/unit/b.py", "tests/acceptance/a.py"]


def test_groups_that_wait_alternate_with_groups_that_compute() -> None:
    files = ("acceptance/a", "api/b", "engine/c", "sdk/d", "unit/e")
    order = mixed(["several", *(f"tests/{name}.py" for name in files)])
    wanted = ("api/b", "acceptance/a", "engine/c", "sdk/d", "unit/e")
    first, *others = order
    assert first == "several"
    assert others == [f"tests/{name}.py" for name in wanted]


def test_a_worker_that_still_collects_is_given_nothing() -> None:
    """It has replaced one that crashed: xdist asks for it as soon as another one crashes."""

    class Worker:
        shutting_down = False

    scheduling, worker = SharedScheduling.__new__(SharedScheduling), Worker()
    left: Any = {"tests/a.py": {"tests/a.py::test_a": False}}
    scheduling.workqueue, scheduling.assigned_work = left, {worker: {}}
    scheduling.registered_collections = {}
    scheduling._reschedule(worker)
    assert list(scheduling.workqueue) == ["tests/a.py"]
