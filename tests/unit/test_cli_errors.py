"""Commands report an error and its fix in a sentence, without a traceback."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from inngest_py.cli import cli
from inngest_py.cli.runs.shapes import line_of

AWAY = "postgresql://user:hidden@127.0.0.1:1/x"
KEYS = ("--event-key", "k", "--signing-key", "abcdef")


def failed(*args: str) -> str:
    """Run a command that must fail; return its output."""
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
def test_a_file_that_is_not_a_database_is_reported(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "x.db").write_text("not a database")
    said = failed(*command, "--database-url", f"sqlite:///{tmp_path / 'x.db'}")
    assert "file is not a database" in said


@pytest.mark.parametrize(
    ("url", "message"),
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
def test_a_broker_that_cannot_be_used_is_reported(url: str, message: str) -> None:
    assert message in failed("check", *KEYS, "--broker-url", url)


def test_a_settings_file_that_is_not_text_is_reported(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(bytes(range(128, 256)))
    assert "not text in UTF-8" in failed("check", "--config", str(tmp_path / "c.yaml"))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--url", "http://127.0.0.1:1"), "start the server, or give --url"),
        (("--url", "nope"), "--url must be a server's"),
        (("--data", '{"a": NaN}'), "NaN or Infinity"),
    ],
)
def test_an_event_that_cannot_be_sent_is_reported(args: tuple[str, ...], message: str) -> None:
    assert message in failed("send", "a/b", *args)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (None, ""),
        ({"name": "ValueError", "message": "no\nmoney"}, "ValueError: no money"),
        ({"error": {"name": "ValueError", "message": "no"}}, "ValueError: no"),
        ({"error": "no", "name": "ValueError", "message": "no"}, "ValueError: no"),
    ],
)
def test_error_of_an_attempt_is_a_line(error: object, line: str) -> None:
    assert line_of(error) == line
