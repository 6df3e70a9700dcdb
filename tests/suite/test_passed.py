"""The commit that passed is written down, and only when it is that commit which was tested."""

import subprocess
from pathlib import Path

import pytest

PASSED = Path(__file__).parents[2] / ".ci" / "passed"


def _git(folder: Path, *args: str) -> str:
    as_somebody = ("-c", "user.name=t", "-c", "user.email=t@t")
    done = subprocess.run(
        ["git", *as_somebody, *args], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    _git(tmp_path, "init", "-q")
    (tmp_path / ".gitignore").write_text(".venv/\n")
    (tmp_path / ".venv").mkdir()
    (tmp_path / "code").write_text("1")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-qm", "Begin")
    return tmp_path


def _passed(clone: Path, command: str) -> tuple[int, str | None]:
    file = clone / ".venv" / ".passed"
    done = subprocess.run([PASSED, ".venv/.passed", "sh", "-c", command], cwd=clone, check=False)
    return done.returncode, file.read_text().strip() if file.exists() else None


def test_a_clean_commit_that_passes_is_written_down(clone: Path) -> None:
    assert _passed(clone, "exit 0") == (0, _git(clone, "rev-parse", "HEAD"))


def test_the_command_s_exit_code_is_kept_and_a_failure_takes_the_mark_away(clone: Path) -> None:
    _passed(clone, "exit 0")
    assert _passed(clone, "exit 3") == (3, None)


def test_the_mark_of_another_commit_stays(clone: Path) -> None:
    _, first = _passed(clone, "exit 0")
    _git(clone, "commit", "-q", "--allow-empty", "-m", "Go on")
    assert _passed(clone, "exit 1") == (1, first)


@pytest.mark.parametrize(
    ("before", "command"),
    [
        ("changed", "exit 0"),
        ("untracked", "exit 0"),
        ("clean", "echo 2 > code"),
        ("clean", "touch new"),
        ("clean", "git -c user.name=t -c user.email=t@t commit -q --allow-empty -m 'Go on'"),
    ],
)
def test_a_tree_that_is_not_clean_or_moves_on_is_not_written_down(
    clone: Path, before: str, command: str
) -> None:
    if before != "clean":
        (clone / {"changed": "code", "untracked": "new"}[before]).write_text("2")
    assert _passed(clone, command) == (0, None)


def test_outside_of_git_the_command_runs(tmp_path: Path) -> None:
    (tmp_path / ".venv").mkdir()
    assert _passed(tmp_path, "exit 0") == (0, None)
    assert _passed(tmp_path, "exit 4") == (4, None)
