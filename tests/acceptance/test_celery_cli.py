"""`inngest-py celery` against a server: connect, list and remove an app whose broker is away."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result

from tests.command import command
from tests.processes import Server, wait_until

BROKER = "redis://:hidden-word@127.0.0.1:1/0"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("celery")
    env = {"INNGEST_DEV": "1", "DATABASE_URL": f"sqlite:///{folder}/server.db"}
    with Server("dev", log=folder / "server.log", env=env) as made:
        yield made.start()


def _celery(server: Server, *args: str, given: str = "") -> Result:
    return command("celery", *args, "--url", server.url, given=given)


def test_broker_is_read_from_the_standard_input(server: Server) -> None:
    added = _celery(server, "add", "far", "--broker", "-", given=f"{BROKER}\n")
    assert added.exit_code == 0, added.stderr
    assert "far is stored, and tried again and again: the broker cannot be reached" in added.stderr
    away = "the broker cannot be reached"
    wait_until(lambda: away in _celery(server, "list").stdout, 60, "the error")
    listed = _celery(server, "list").stdout
    assert "far  redis://127.0.0.1:1/0  queue celery" in listed
    assert "hidden-word" not in listed + server.log.read_text()
    assert _celery(server, "remove", "far").exit_code == 0
    assert "far " not in _celery(server, "list").stdout


def test_the_command_as_its_users_start_it(server: Server) -> None:
    argv = [sys.executable, "-m", "inngest_py", "celery", "remove", "gone", "--url", server.url]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    again = _celery(server, "remove", "gone")
    assert (done.returncode, done.stdout) == (again.exit_code, again.stdout) == (1, "")
    assert done.stderr == again.stderr != ""


def test_name_with_a_slash_is_refused(server: Server) -> None:
    refused = _celery(server, "add", "a/b", "--broker", BROKER)
    assert refused.exit_code == 1
    assert refused.stderr == "Error: 'a/b' is no name of a Celery app: it holds a slash\n"


def test_settings_of_a_task_are_changed_shown_and_undone(server: Server) -> None:
    assert _celery(server, "add", "shop", "--broker", BROKER).exit_code == 0
    given = ["--retries", "3", "--concurrency", "2", "--throttle", "10/1m"]
    given += ["--key", "event.data.customer", "--singleton", "skip", "--finish-within", "1h"]
    given += ["--cancel-on", "shop/stop", "--priority", "event.data.n"]
    given += ["--set", 'backoff={"initial": "5s"}']
    done = _celery(server, "set", "shop.charge", *given)
    assert (done.exit_code, done.stdout) == (0, "shop-shop.charge is changed\n"), done.stderr
    assert _celery(server, "set", "shop.charge", "--unset", "singleton").exit_code == 0
    assert _celery(server, "show", "shop.charge").stdout.splitlines() == [
        "shop-shop.charge",
        '  backoff: {"initial": "5s"}  (set by hand)',
        '  cancelOn: [{"event": "shop/stop"}]  (set by hand)',
        '  concurrency: {"key": "event.data.customer", "limit": 2}  (set by hand)',
        '  priority: {"run": "event.data.n"}  (set by hand)',
        "  retries: 3  (set by hand)",
        '  throttle: {"key": "event.data.customer", "limit": 10, "period": "1m"}  (set by hand)',
        '  timeouts: {"finish": "1h"}  (set by hand)',
    ]


def test_bad_settings_are_named_with_the_fix(server: Server) -> None:
    assert _celery(server, "add", "shop", "--broker", BROKER).exit_code == 0
    for given, message in (
        (["--throttle", "10"], "'10' must be a number and a time, such as 10/1m"),
        (["--set", "retries"], "'retries' must be a setting's name, =, and JSON"),
        (["--key", "event.data.n"], "--key needs a rule that takes it"),
        ([], "name a setting, such as --retries 3"),
        (["--debounce", "5"], "debounce.period is not a duration: write 30s, 5m, 2h or 7d"),
        (["--unset", "throtle"], "throtle is not known here: did you mean throttle?"),
        (["--on-lost", "ignore"], "on_lost must be retry or fail"),
    ):
        refused = _celery(server, "set", "shop.charge", *given)
        assert refused.exit_code != 0
        assert message in refused.stderr


def test_config_file_is_read_at_the_start_and_leads(tmp_path: Path) -> None:
    file = tmp_path / "inngest.yaml"
    task = "{retries: 3, on: {event: shop/order.placed}}"
    file.write_text(
        f"celery_apps: {{shop: {{broker: '{BROKER}', tasks: {{shop.charge: {task}}}}}}}"
    )
    env = {"INNGEST_DEV": "1", "DATABASE_URL": f"sqlite:///{tmp_path}/server.db"}
    env |= {"INNGEST_CONFIG": str(file)}
    with Server("dev", log=tmp_path / "server.log", env=env) as server:
        server.start()
        shown = _celery(server, "show", "shop.charge").stdout
        assert "  retries: 3  (the config file)" in shown
        refused = _celery(server, "set", "shop.charge", "--retries", "1")
        assert "retries of shop.charge is set in the server's config file" in refused.stderr
        listed = _celery(server, "list").stdout
        assert f"from {file}" in listed
        assert "no worker has had shop.charge yet: start one that has it" in listed
    assert "hidden-word" not in (tmp_path / "server.log").read_text()


def test_bad_config_file_ends_the_start_with_path_and_fix(tmp_path: Path) -> None:
    file = tmp_path / "inngest.yaml"
    task = "{throttle: {limit: 5, period: 60}}"
    file.write_text(
        f"celery_apps: {{shop: {{broker: '{BROKER}', tasks: {{shop.charge: {task}}}}}}}"
    )
    argv = [sys.executable, "-m", "inngest_py", "dev", "--config", str(file)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    path = "celery_apps.shop.tasks[shop.charge].throttle.period"
    assert f"{file}: {path} must be a text with a unit: write 30s, 5m, 2h or 7d" in done.stderr
