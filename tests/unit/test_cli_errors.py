"""Commands say what is wrong and how it is mended, in a sentence and not in a traceback."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from inngest_py.cli import cli

AWAY = "postgresql://user:hidden@127.0.0.1:1/x"
KEYS = ("--event-key", "k", "--signing-key", "abcdef")


def failed(*args: str) -> str:
    """Run a command that must fail; return what it said."""
    result = CliRunner().invoke(cli, list(args))
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert "hidden" not in result.output
    return result.output


@pytest.mark.parametrize("command", [("db", "upgrade"), ("users", "list"), ("users", "add", "ann")])
def test_a_database_that_is_away_ends_the_command(command: tuple[str, ...]) -> None:
    said = failed(*command, "--database-url", AWAY)
    assert "the database cannot be reached" in said
    assert "check --database-url" in said


@pytest.mark.parametrize("command", [("db", "upgrade"), ("users", "list")])
def test_a_file_that_is_no_database_is_told(command: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("not a database")
    said = failed(*command, "--database-url", f"sqlite:///{tmp_path / 'x.db'}")
    assert "file is not a database" in said


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("foo://x", "names no transport"),
        ("http://x", "names no transport"),
        ("garbage", "names no transport"),
        ("memory://", "joins no two processes"),
        ("redis://127.0.0.1:1/0", "Connection refused"),
        ("redis://:hidden@127.0.0.1:1/0", "check --redis-url or --broker-url"),
        ("redis://127.0.0.1:hidden/0", "check --redis-url or --broker-url"),
        ("amqp://u:hidden@127.0.0.1:1//", "Connection refused"),
    ],
)
def test_a_broker_that_cannot_be_used_is_told(url: str, told: str) -> None:
    assert told in failed("check", *KEYS, "--broker-url", url)


def test_a_file_of_settings_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(bytes(range(128, 256)))
    assert "not text in UTF-8" in failed("check", "--config", str(tmp_path / "c.yaml"))


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("--url", "http://127.0.0.1:1"), "start the server, or give --url"),
        (("--url", "nope"), "--url must be a server's"),
        (("--data", '{"a": NaN}'), "NaN or Infinity"),
    ],
)
def test_an_event_that_cannot_be_sent(args: tuple[str, ...], told: str) -> None:
    assert told in failed("send", "a/b", *args)
