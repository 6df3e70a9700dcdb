"""Several processes count together, in files of one folder."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest, values

from inngest_py.engine.realtime.hub import Hub
from inngest_py.metrics.shared import SharedMetrics
from tests.metrics import value

_OTHER = """
import sys
from pathlib import Path
from prometheus_client import CollectorRegistry, Counter
from inngest_py.engine.realtime.hub import Hub
from inngest_py.metrics.shared import SharedMetrics

made = SharedMetrics(Path(sys.argv[1]))
hub = Hub()
list(made.registry(hub).collect())
Counter("things", "Things.", registry=CollectorRegistry()).inc(5)
hub.published = 3
made.run_once(None)
assert not made.is_first()
print(made.number, flush=True)
if sys.stdin.readline():
    made.close()
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SharedMetrics]:
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    made = SharedMetrics(tmp_path / "shared")
    yield made
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)


def other(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", _OTHER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def number(process: "subprocess.Popen[str]") -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


_SMALL = 10_000_000  # bytes: less than any process of ours has


def test_numbers_of_all_processes_are_added_up(own: SharedMetrics, tmp_path: Path) -> None:
    assert own.is_first()  # which looks for apps
    hub = Hub()
    registry = own.registry(hub)
    Counter("things", "Things.", registry=CollectorRegistry()).inc(2)
    hub.published = 1

    def read(name: str) -> float | None:
        return value(generate_latest(registry).decode(), name)

    assert (own.number, read("things_total"), read("inngest_api_processes")) == (1, 2, 1)
    alone = read("process_resident_memory_bytes")
    folder = tmp_path / "shared"
    with other(folder) as second:
        assert number(second) == 2
        assert (read("things_total"), read("inngest_api_processes")) == (7, 2)
        assert read("inngest_realtime_published_total") == 4
        both = read("process_resident_memory_bytes")
        assert alone is not None and both is not None and both > alone + _SMALL
        second.kill()
    # one that is gone is no process any more, and its counts stay
    assert (read("things_total"), read("inngest_api_processes")) == (7, 1)
    with other(folder) as third:
        assert number(third) == 2  # it counts on where the second one was
        assert (read("things_total"), read("inngest_api_processes")) == (12, 2)
        assert third.stdin is not None
        own.close()
        assert folder.exists()
        third.stdin.write("end\n")
        third.stdin.flush()
        assert third.wait(20) == 0
    assert not folder.exists()  # the last one has removed it


def test_a_folder_of_somebody_else_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "own")
    with pytest.raises(PermissionError, match="belongs to another user"):
        SharedMetrics(tmp_path / "link")
