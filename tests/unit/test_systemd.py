"""The units of systemd: it can read them, they have settings that exist, and time to stop."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from inngest_py.config import Settings
from inngest_py.config_reading import from_environment
from inngest_py.serving.supervisor import LATER_SECONDS, LEAST_DRAIN

UNITS = sorted((Path(__file__).resolve().parents[2] / "docker" / "systemd").glob("*.service"))
PROGRAMS = str(Path(sys.executable).parent)
# how much a unit may do, from 0 to 100; one without any sandbox has 96
MOST_EXPOSED = 20


def analyze(*args: str) -> str:
    """Return what systemd-analyze finds wrong; the test is skipped without it."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    done = subprocess.run(
        [program, *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return done.stdout if done.returncode or args[0] == "verify" else ""


def here(unit: Path, folder: Path) -> Path:
    """Write a unit with the programs of this environment in place of those of /opt."""
    made = folder / unit.name
    made.write_text(unit.read_text().replace("/opt/inngest-py/bin", PROGRAMS))
    return made


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_reads_them_and_they_are_shut_in(unit: Path, tmp_path: Path) -> None:
    made = str(here(unit, tmp_path))
    assert analyze("verify", "--recursive-errors=no", "--man=no", made) == ""
    limit = f"--threshold={MOST_EXPOSED}"
    assert analyze("security", "--offline=true", limit, "--no-pager", made) == ""


def test_mistakes_are_found(tmp_path: Path) -> None:
    made = here(UNITS[0], tmp_path)
    made.write_text(made.read_text().replace("KillMode=mixed", "KillMode=some\nNoSuchKey=1"))
    found = analyze("verify", "--recursive-errors=no", "--man=no", str(made))
    assert ":29:" in found  # the line of KillMode
    assert "NoSuchKey" in found


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_they_have_time_to_stop(unit: Path) -> None:
    [seconds] = re.findall(r"^TimeoutStopSec=(\d+)$", unit.read_text(), re.M)
    assert int(seconds) > Settings().grace_seconds + LATER_SECONDS + LEAST_DRAIN


def test_there_are_three_and_their_settings_exist() -> None:
    assert [unit.stem for unit in UNITS] == ["inngest-api", "inngest-server", "inngest-worker@"]
    for unit in UNITS:
        given = dict(re.findall(r"(INNGEST_\w+)=(\S+)", unit.read_text()))
        read = from_environment(given)
        assert (len(read.values), read.errors) == (len(given), [])
