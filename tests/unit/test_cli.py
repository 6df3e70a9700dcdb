"""The command line's answers to good and bad input, without a server."""

import os
import subprocess
import sys
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
    "command",
    [
        *(
            "dev",
            "start",
            "api",
            "worker",
            "check",
            "db",
            "send",
            "runs",
            "functions",
            "db upgrade",
        ),
        "errors mute",
    ],
)
def test_every_command_explains_itself(command: str) -> None:
    code, output = run(*command.split(), "--help")
    assert code == 0
    assert "Usage" in output


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("dev", "--port", "0"), "--port"),
        (("dev", "--db", "x", "--in-memory"), "exclude each other"),
        (("dev", "--db", "/proc/x/y.db"), "cannot be written"),
        (("start", "--dev", "--database-url", "sqlite:////proc"), "cannot be written"),
        (("dev", "--db", "x", "--database-url", "sqlite://"), "excludes --db"),
        (("start",), "openssl rand -hex 32"),
        (("start", "--signing-key", "00ff"), "--event-key"),
        (("api", "--event-key", "x"), "INNGEST_SIGNING_KEY"),
        (("worker",), "INNGEST_DEV=1"),
        (("check",), "openssl rand -hex 32"),
        (("start", "--dev", "--signing-key-fallback", "00ff"), "--signing-key"),
        (("dev", "-u", "http://a/" + "x" * 2048), "over 2048 characters"),
        (("start", "--database-url", "mysql://a/b"), "not supported"),
        (("start", "--workers", "2"), "--redis-url"),
        (("api", "--dev", "--processes", "2"), "--redis-url"),
        (("start", "--dev", "--api-processes", "0"), "1 to 256"),
        (("start", "--config", "/does/not/exist.yaml"), "cannot be read"),
        (("send", "a/b", "--data", "{"), "--data is not JSON"),
        (("send", "a/b", "--url", "http://127.0.0.1:1"), "start the server"),
        (("functions", "pause", "a-b", "--url", "http://127.0.0.1:1"), "start the server"),
        (("runs", "list", "--url", "http://127.0.0.1:1"), "start the server"),
        (("errors", "list", "--url", "http://127.0.0.1:1"), "start the server"),
        (("errors", "list", "--state", "closed"), "--state"),
        (("errors", "mute", "x", "--for", "soon"), "is not a duration"),
        (("errors", "mute", "x", "--for", "100000w"), "--for"),
        (("errors", "mute", "x", "--for", "1h", "--until", "x"), "cannot be given together"),
        (("operations", "list", "--url", "http://127.0.0.1:1"), "start the server"),
        (("operations", "rate", "x", "fast"), "RATE must be a number of items a second, or none"),
        (("operations", "begin", "delete"), "'delete' is not one of"),
        (("replay-events", "app-fn"), "Missing option '--since'"),
    ],
)
def test_bad_input_is_reported_with_the_fix(args: tuple[str, ...], message: str) -> None:
    code, output = run(*args)
    assert code != 0
    assert message in output
    assert "Traceback" not in output


SECRET = "5ec7e75ec7e"  # an odd number of digits


@pytest.mark.parametrize("command", ["start", "api", "worker", "check", "send a/b", "db upgrade"])
def test_a_bad_key_is_refused_and_not_shown(command: str) -> None:
    code, output = run(*command.split(), INNGEST_SIGNING_KEY=SECRET)
    assert code != 0
    assert "even" in output
    assert SECRET not in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("env", "message"), [({}, "openssl rand -hex 32"), ({"INNGEST_SIGNING_KEY": SECRET}, "even")]
)
def test_a_celery_worker_does_not_run_without_keys(env: dict[str, str], message: str) -> None:
    command = [sys.executable, "-m", "celery", "-A", "inngest_py", "worker", "-P", "solo"]
    keyless = {k: v for k, v in os.environ.items() if not k.startswith("INNGEST_")}
    done = subprocess.run(
        command, env=keyless | env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stdout + done.stderr


def test_check_accepts_a_database_without_schema_and_one_that_is_current(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    code, output = run("check", "--dev", "--database-url", url)
    assert (code, "ok:" in output) == (0, True)
    assert run("db", "upgrade", "--database-url", url)[0] == 0
    code, output = run("check", "--dev", "--database-url", url)
    assert code == 0
    assert "schema" not in output


def test_check_names_what_cannot_be_reached(tmp_path: Path) -> None:
    port = free_port()
    code, output = run(
        "check",
        "--dev",
        "--database-url",
        f"postgresql://nobody:hunter2@127.0.0.1:{port}/x",
        "--redis-url",
        f"redis://127.0.0.1:{port}/0",
    )
    assert code == 1
    assert "the database cannot be reached" in output
    assert "the broker cannot be reached" in output
    assert "hunter2" not in output


def test_check_says_whether_the_databases_folder_can_be_made(tmp_path: Path) -> None:
    code, output = run("check", "--dev", "--database-url", f"sqlite:///{tmp_path}/a/b/c.db")
    assert (code, "a/b does not exist yet" in output) == (0, True)
    assert not (tmp_path / "a").exists()
    (tmp_path / "a").write_text("a file")
    code, output = run("check", "--dev", "--database-url", f"sqlite:///{tmp_path}/a/b/c.db")
    assert (code, "cannot be made" in output) == (1, True)
    assert "--database-url" in output


@pytest.mark.parametrize("command", ["users list", "db upgrade"])
def test_a_command_offers_only_options_that_it_uses(command: str) -> None:
    code, output = run(*command.split(), "--help")
    assert code == 0
    assert "--database-url" in output
    assert "--signing-key" not in output


def test_check_requires_the_schema_on_postgresql(postgres_url: str) -> None:
    code, output = run("check", "--dev", "--database-url", postgres_url)
    assert code == 1
    assert "inngest-py db upgrade" in output
    assert run("db", "upgrade", "--database-url", postgres_url)[0] == 0
    assert run("check", "--dev", "--database-url", postgres_url)[0] == 0


def test_a_client_command_does_not_import_the_servers_code() -> None:
    asked = (
        "import sys; from inngest_py.cli import cli;"
        " cli(['send', '--help'], standalone_mode=False);"
        " print([name for name in ('sqlalchemy', 'celery', 'flask') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_an_embedded_server_loads_no_driver_of_other_servers() -> None:
    """Nor what Redis' package brings: 14 MB, of a process that has SQLite and its own broker."""
    asked = (
        "import sys; from gevent import monkey;"
        " monkey.patch_all(); import inngest_py.cli.serve, inngest_py.cli.server;"
        " from inngest_py.storage.db.session import Database; Database('sqlite://').create_all();"
        " print([name for name in ('psycopg2', 'redis', 'opentelemetry') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
