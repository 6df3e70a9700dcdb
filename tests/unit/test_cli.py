"""The command line's answers to good and bad input, without a server."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from inngest_py.cli import cli
from tests.processes import free_port


def run(*args: str, **env: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, list(args), env=env)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


@pytest.mark.parametrize(
    "command", ["dev", "start", "api", "worker", "check", "db", "send", "runs", "db upgrade"]
)
def test_every_command_explains_itself(command: str) -> None:
    code, output = run(*command.split(), "--help")
    assert code == 0
    assert "Usage" in output


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("dev", "--port", "0"), "--port"),
        (("dev", "--db", "x", "--in-memory"), "exclude each other"),
        (("start", "--database-url", "mysql://a/b"), "not supported"),
        (("start", "--workers", "2"), "--redis-url"),
        (("start", "--config", "/does/not/exist.yaml"), "cannot be read"),
        (("send", "a/b", "--data", "{"), "--data is not JSON"),
        (("send", "a/b", "--url", "http://127.0.0.1:1"), "ConnectionError"),
        (("runs", "list", "--url", "http://127.0.0.1:1"), "ConnectionError"),
    ],
)
def test_bad_input_is_told_with_the_fix(args: tuple[str, ...], told: str) -> None:
    code, output = run(*args)
    assert code != 0
    assert told in output
    assert "Traceback" not in output


def test_check_accepts_a_database_without_schema_and_one_that_is_current(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    code, output = run("check", "--database-url", url)
    assert (code, "ok:" in output) == (0, True)
    assert run("db", "upgrade", "--database-url", url)[0] == 0
    code, output = run("check", "--database-url", url)
    assert code == 0
    assert "schema" not in output


def test_check_names_what_cannot_be_reached(tmp_path: Path) -> None:
    port = free_port()
    code, output = run(
        "check",
        "--database-url",
        f"postgresql://nobody:hunter2@127.0.0.1:{port}/x",
        "--redis-url",
        f"redis://127.0.0.1:{port}/0",
    )
    assert code == 1
    assert "the database cannot be reached" in output
    assert "the broker cannot be reached" in output
    assert "hunter2" not in output


def test_check_wants_the_schema_on_postgresql(postgres_url: str) -> None:
    code, output = run("check", "--database-url", postgres_url)
    assert code == 1
    assert "inngest-py db upgrade" in output
    assert run("db", "upgrade", "--database-url", postgres_url)[0] == 0
    assert run("check", "--database-url", postgres_url)[0] == 0
